//! The stream of events, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName};
use axum::response::IntoResponse;
use axum::response::sse::{Event as Message, Sse};
use futures_util::{Stream, StreamExt as _, stream};
use kennel_core::Event;
use kennel_http::{HttpError, Query};
use kennel_outbox::{FeedItem, FeedUpdate};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;
use uuid::Uuid;

use super::ApiContext;
use super::bodies::EventResponse;
use super::errors::{ApiError, header_text};
use super::problems::{self, Failures};

/// Maximum number of open streams; further requests are rejected with 503.
pub(super) const MAX_STREAMS: usize = 256;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Disables the response buffering of nginx, which would delay events until its buffer is full.
const UNBUFFERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");
/// How long a browser waits before it reconnects.
const RECONNECT_DELAY: Duration = Duration::from_secs(2);

/// The start of the stream.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct EventParams {
    /// Start after this event; for clients that cannot set the header `Last-Event-ID`.
    #[param(format = "uuid")]
    last_event_id: Option<String>,
}

/// The start of the stream, as browsers send it when they reconnect.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only describes what `header_text` reads")]
struct PositionParams {
    /// Start after this event.
    #[param(rename = "Last-Event-ID", nullable = false)]
    id: Option<Uuid>,
}

/// Stream events
///
/// Server-sent events: `id` is the event's id, `event` its type, `data` the event as JSON. Without a last event the
/// stream starts now. When the events after the last event were purged, it starts with an event of type `reset`: reload
/// the data that you show. The stream starts with the id to resume after, and repeats it while there are no events, so
/// that a connection that fails before its first event can resume without a gap.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events", operation_id = "watchEvents",
    params(
        EventParams,
        PositionParams,
    ),
    responses(
        (status = 200, description = "The events.", content_type = "text/event-stream", body = EventResponse),
        (status = 400, response = problems::Malformed),
        (status = 422, response = problems::Invalid),
        Failures,
    ),
)]
pub(super) async fn events(
    State(context): State<Arc<ApiContext>>,
    Query(params): Query<EventParams>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ApiError> {
    let last = header_text(&headers, &LAST_EVENT_ID)?.or(params.last_event_id.as_deref());
    let last = last.filter(|id| !id.is_empty()).map(str::parse::<Uuid>).transpose();
    let last = last.map_err(|_| HttpError::invalid("last_event_id", "must be the id of an event, a UUID"))?;
    let permit = Arc::clone(&context.streams).try_acquire_owned();
    let permit = permit.map_err(|_| ApiError::overloaded("too many open streams"))?;
    let retry = stream::iter([Message::default().retry(RECONNECT_DELAY)]);
    let items = context.api.feed.watch(last).filter_map(async |update| message(update));
    let messages = with_permit(permit, retry.chain(items).map(Ok::<_, Infallible>));
    Ok(([UNBUFFERED], Sse::new(messages)))
}

fn message(update: FeedUpdate) -> Option<Message> {
    let message = Message::default().id(update.position.to_string());
    match update.item {
        None => Some(message.comment("no new events")),
        Some(FeedItem::Event(event)) => with_event(message, &event),
        // Browsers ignore messages without data.
        Some(FeedItem::Reset) => Some(message.event("reset").data("{}")),
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

/// Holds the permit until the stream is dropped.
fn with_permit<T>(permit: OwnedSemaphorePermit, items: impl Stream<Item = T>) -> impl Stream<Item = T> {
    items.map(move |item| {
        let _permit = &permit;
        item
    })
}
