//! An event feed as a stream of gRPC messages.

use std::future::ready;
use std::pin::Pin;

use futures_util::{Stream, StreamExt as _, stream};
use kennel_core::{ErrorKind, Event};
use kennel_grpc::{Details, fault, status, valid};
use kennel_outbox::{EventFeed, FeedItem, FeedUpdate};
use serde_json::{Map, Value};
use tonic::Status;
use uuid::Uuid;

/// The messages of a stream.
pub type Messages<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// The events of `feed` after the one with the id `last_event_id`, or from now on if it is empty. `message` creates the
/// message of an event, or of a position in the feed without an event: at the start, and as a heartbeat.
///
/// The stream ends with `UNAVAILABLE` when the process stops or the history cannot be read, and with
/// `FAILED_PRECONDITION` when the event to resume after is unknown.
pub fn watch<M: Send + 'static>(
    feed: &EventFeed,
    last_event_id: &str,
    message: impl Fn(Uuid, Option<&Event>) -> Result<M, Status> + Send + 'static,
) -> Result<Messages<M>, Status> {
    let after = match last_event_id {
        "" => None,
        id => Some(valid("last_event_id", id.parse::<Uuid>().map_err(|_| "must be the id of an event"))?),
    };
    let items = feed.watch(after).map(move |FeedUpdate { position, item }| match item {
        None => message(position, None),
        Some(FeedItem::Event(event)) => message(event.id, Some(&event)),
        Some(FeedItem::Reset) => {
            let reason = "the event to resume after is unknown or was purged";
            Err(status(ErrorKind::PreconditionFailed, reason, Details::default()))
        }
    });
    // The feed ends when the process stops, or when its history cannot be read; in both cases the client can resume.
    let end = stream::once(async { Err(status(ErrorKind::Unavailable, "", Details::default())) });
    // A status ends a gRPC stream; no message may follow it.
    let ended = items.chain(end).scan(false, |ended, item| {
        let next = (!*ended).then_some(item);
        *ended = matches!(next, Some(Err(_)));
        ready(next)
    });
    Ok(Box::pin(ended))
}

/// The data of an event as JSON, for a message that shows events of every type.
pub fn data(event: &Event) -> Result<Map<String, Value>, Status> {
    serde_json::from_slice(&event.data).map_err(|error| fault(ErrorKind::Internal, &error, Details::default()))
}
