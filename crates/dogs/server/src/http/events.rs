//! The stream of events, as server-sent events.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use futures_util::StreamExt as _;
use kennel_core::Event;
use kennel_http::openapi::problems::{self, Failures};
use kennel_http::sse::{self, LastEventId, Message};
use kennel_outbox::{FeedItem, FeedUpdate};

use super::ApiContext;
use super::bodies::EventResponse;
use super::errors::ApiError;

/// Maximum number of open streams; further requests are rejected with 503.
pub(super) const MAX_STREAMS: usize = 256;

/// Stream events
///
/// Server-sent events: `id` is the event's id, `event` its type, `data` the event as JSON. Without a last event the
/// stream starts now. When the events after the last event were purged, it starts with an event of type `reset`: reload
/// the data that you show. The stream starts with the id to resume after, and repeats it while there are no events, so
/// that a connection that fails before its first event can resume without a gap. When the credentials of the client expire, it
/// ends with an event of type `expired`.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events", operation_id = "watchEvents",
    params(LastEventId),
    responses(
        (status = 200, description = "The events.", content_type = "text/event-stream", body = EventResponse),
        (status = 400, response = problems::Malformed),
        (status = 422, response = problems::Invalid),
        Failures,
    ),
)]
pub(super) async fn events(
    State(context): State<Arc<ApiContext>>,
    LastEventId(last): LastEventId,
) -> Result<Response, ApiError> {
    let stream = context.streams.try_open()?;
    Ok(stream.respond(context.api.feed.watch(last).filter_map(async |update| message(update))))
}

fn message(update: FeedUpdate) -> Option<Message> {
    match update.item {
        None => Some(sse::position(update.position)),
        Some(FeedItem::Event(event)) => with_event(Message::default().id(update.position.to_string()), &event),
        Some(FeedItem::Reset) => Some(sse::reset(update.position)),
    }
}

fn with_event(message: Message, event: &Event) -> Option<Message> {
    let message = message.event(&event.name);
    match EventResponse::try_from(event).map_err(axum::Error::new).and_then(|data| message.json_data(data)) {
        Ok(message) => Some(message),
        Err(error) => {
            tracing::error!(event.id = %event.id, error = &error as &dyn std::error::Error, "cannot decode event");
            None
        }
    }
}
