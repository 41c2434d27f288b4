//! Streams of server-sent events that a client can resume.

use std::convert::Infallible;
use std::fmt::Display;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::response::sse::Sse;
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _, stream};
use http::HeaderName;
use http::request::Parts;
use kennel_net::{RequestContext, expired};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};
use uuid::Uuid;

pub use axum::response::sse::Event as Message;

use crate::extract::{Query, header_text};
use crate::problem::HttpError;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Disables the response buffering of nginx, which would delay events until its buffer is full.
const UNBUFFERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");
/// How long a browser waits before it reconnects.
const RECONNECT_DELAY: Duration = Duration::from_secs(2);

/// The open streams of a route, at most a fixed number at once. Clones share the limit.
#[derive(Debug, Clone)]
pub struct EventStreams {
    permits: Arc<Semaphore>,
}

/// The permit to open one stream.
#[derive(Debug)]
pub struct EventStream {
    permit: OwnedSemaphorePermit,
}

impl EventStreams {
    /// Allows `max` open streams.
    pub fn new(max: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(max)) }
    }

    /// Reserves a stream. Rejects it with 503 when too many are open.
    pub fn try_open(&self) -> Result<EventStream, HttpError> {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        Ok(EventStream { permit: permit.map_err(|_| HttpError::overloaded("too many open streams"))? })
    }
}

impl EventStream {
    /// The response that streams `messages`. The stream counts as open until it ends or its client disconnects. When the
    /// credentials of the client expire, it ends with an event of type `expired`: the client connects again with others.
    pub fn respond(self, messages: impl Stream<Item = Message> + Send + 'static) -> Response {
        let retry = stream::iter([Message::default().retry(RECONNECT_DELAY)]);
        let expires = RequestContext::current().and_then(|context| context.expires());
        // Messages also end when the process stops.
        let has_expired = move || expires.is_some_and(|at| at <= Instant::now());
        let end = stream::once(async move { has_expired().then(|| Message::default().event("expired").data("{}")) });
        let end = end.filter_map(ready);
        let messages = messages.take_until(expired(expires)).chain(end);
        let messages = retry.chain(messages).map(move |message| {
            let _open = &self.permit;
            Ok::<_, Infallible>(message)
        });
        ([UNBUFFERED], Sse::new(messages)).into_response()
    }
}

/// Repeats the position of a stream without events. So a connection that fails before its next event resumes there.
pub fn position(id: impl Display) -> Message {
    Message::default().id(id.to_string()).comment("no new events")
}

/// Announces that events are missing before `id`: the client has to reload the data that it shows.
pub fn reset(id: impl Display) -> Message {
    // Browsers ignore messages without data.
    Message::default().id(id.to_string()).event("reset").data("{}")
}

/// The event after which a client resumes: the header `Last-Event-ID`, which browsers send when they reconnect, else the
/// parameter `last_event_id`. `None` for a stream that starts now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastEventId(pub Option<Uuid>);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct QueryParams {
    /// Start after this event; for clients that cannot set the header `Last-Event-ID`.
    #[param(format = "uuid")]
    last_event_id: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only describes what `header_text` reads")]
struct HeaderParams {
    /// Start after this event.
    #[param(rename = "Last-Event-ID", nullable = false)]
    id: Option<Uuid>,
}

impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        let Query(params) = Query::<QueryParams>::from_request_parts(parts, state).await?;
        let last = header_text(&parts.headers, &LAST_EVENT_ID)?.or(params.last_event_id.as_deref());
        let last = last.filter(|id| !id.is_empty()).map(str::parse).transpose();
        last.map(Self).map_err(|_| HttpError::invalid("last_event_id", "must be the id of an event, a UUID"))
    }
}

impl IntoParams for LastEventId {
    fn into_params(parameter_in: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let query = QueryParams::into_params(&parameter_in);
        query.into_iter().chain(HeaderParams::into_params(&parameter_in)).collect()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::BoxStream;
    use http::HeaderMap;
    use kennel_core::{Principal, UuidV7};
    use kennel_net::{Authenticated, RequestId};

    use super::*;

    async fn read(query: &str, header: Option<&str>) -> Result<LastEventId, HttpError> {
        let request = http::Request::builder().uri(format!("/events{query}"));
        let request = header.into_iter().fold(request, |request, id| request.header(LAST_EVENT_ID, id));
        LastEventId::from_request_parts(&mut request.body(()).unwrap().into_parts().0, &()).await
    }

    #[tokio::test]
    async fn the_header_takes_precedence_over_the_query() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let query = format!("?last_event_id={one}");
        assert_eq!(read(&query, Some(&two.to_string())).await.unwrap(), LastEventId(Some(two)));
        assert_eq!(read(&query, None).await.unwrap(), LastEventId(Some(one)));
        assert_eq!(read("?last_event_id=", Some("")).await.unwrap(), LastEventId(None));
        assert!(read("?last_event_id=1", None).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_when_the_credentials_of_its_client_expire() {
        let context = RequestContext::new(RequestId::of(&HeaderMap::new(), &UuidV7));
        let (principal, expires) = (Principal::new("user-1", ["events:read"]), Instant::now() + Duration::from_mins(5));
        context.set_caller(Authenticated { principal, expires: Some(expires) });
        let respond = |messages: BoxStream<'static, Message>| {
            context.enter(|| EventStreams::new(1).try_open().unwrap().respond(messages)).into_body()
        };
        let one = || stream::iter([Message::default().data("1")]);
        let stopped = axum::body::to_bytes(respond(one().boxed()), usize::MAX).await.unwrap();
        assert_eq!(stopped, "retry: 2000\n\ndata: 1\n\n", "the process stops before");
        let text = axum::body::to_bytes(respond(one().chain(stream::pending()).boxed()), usize::MAX).await.unwrap();
        assert_eq!(text, "retry: 2000\n\ndata: 1\n\nevent: expired\ndata: {}\n\n");
        assert_eq!(Instant::now(), expires);
    }

    #[test]
    fn a_stream_counts_until_it_is_dropped() {
        let streams = EventStreams::new(1);
        let open = streams.try_open().unwrap();
        assert!(streams.try_open().is_err());
        let response = open.respond(stream::pending());
        assert!(streams.try_open().is_err());
        drop(response);
        assert!(streams.try_open().is_ok());
    }
}
