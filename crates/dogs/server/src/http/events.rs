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

use super::Shared;
use super::documents::EventDocument;
use super::errors::{ApiError, header_text};
use super::problems::{self, Failures};

/// Streams open at a time; more are told to come back.
pub(super) const MAX_STREAMS: usize = 256;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Nginx holds back what it passes on until its buffer is full, unless the answer says otherwise.
const UNBUFFERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");
/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// Where the stream starts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct EventParams {
    /// Start behind this event; for callers that cannot set the header `Last-Event-ID`.
    #[param(format = "uuid")]
    last_event_id: Option<String>,
}

/// Where the stream starts, as browsers say it when they connect again.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only describes what `header_text` reads")]
struct PositionParams {
    /// Start behind this event.
    #[param(rename = "Last-Event-ID", nullable = false)]
    id: Option<Uuid>,
}

/// Follow what happens
///
/// Server-sent events: `id` is the event's id, `event` its type, `data` the event as JSON. Without a last event the
/// stream starts now. When what came behind the last event is no longer known, it starts with an event called
/// `reset`: read anew what you show. The stream opens with the id to resume behind, and repeats it while nothing happens:
/// a connection that breaks before its first event misses nothing either.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events", operation_id = "watchEvents",
    params(
        EventParams,
        PositionParams,
    ),
    responses(
        (status = 200, description = "Events as they happen.", content_type = "text/event-stream", body = EventDocument),
        (status = 400, response = problems::Malformed),
        (status = 422, response = problems::Invalid),
        Failures,
    ),
)]
pub(super) async fn events(
    State(shared): State<Arc<Shared>>,
    Query(params): Query<EventParams>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ApiError> {
    let last = header_text(&headers, &LAST_EVENT_ID)?.or(params.last_event_id.as_deref());
    let last = last.filter(|id| !id.is_empty()).map(str::parse::<Uuid>).transpose();
    let last = last.map_err(|_| HttpError::invalid("last_event_id", "must be the id of an event, a UUID"))?;
    let place = Arc::clone(&shared.streams).try_acquire_owned();
    let place = place.map_err(|_| ApiError::overloaded("too many streams are open already"))?;
    let retry = stream::iter([Message::default().retry(RETRY)]);
    let items = shared.api.feed.watch(last).filter_map(async |watched| message(watched));
    let messages = holding(place, retry.chain(items).map(Ok::<_, Infallible>));
    Ok(([UNBUFFERED], Sse::new(messages)))
}

fn message(watched: FeedUpdate) -> Option<Message> {
    let message = Message::default().id(watched.position.to_string());
    match watched.item {
        None => Some(message.comment("nothing new")),
        Some(FeedItem::Event(event)) => with_event(message, &event),
        // Browsers pass over messages without data.
        Some(FeedItem::Reset) => Some(message.event("reset").data("{}")),
    }
}

fn with_event(message: Message, event: &Event) -> Option<Message> {
    let message = message.event(&event.name);
    match EventDocument::try_from(event).map_err(axum::Error::new).and_then(|data| message.json_data(data)) {
        Ok(message) => Some(message),
        Err(error) => {
            tracing::error!(event.id = %event.id, error = &error as &dyn std::error::Error, "event is not readable");
            None
        }
    }
}

/// Keeps the place for as long as the stream lives.
fn holding<T>(place: OwnedSemaphorePermit, items: impl Stream<Item = T>) -> impl Stream<Item = T> {
    items.map(move |item| {
        let _held = &place;
        item
    })
}
