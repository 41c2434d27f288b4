//! `WatchDogs`: the event feed as a stream of messages.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _, stream};
use kennel_core::{ErrorKind, Event};
use kennel_grpc::Details;
use kennel_outbox::{EventFeed, FeedItem, FeedUpdate};
use kennel_proto::convert::{object, timestamp};
use kennel_proto::dogs::v1 as pb;
use tonic::Status;
use uuid::Uuid;

use kennel_grpc::invalid;

type Responses = Pin<Box<dyn Stream<Item = Result<pb::WatchDogsResponse, Status>> + Send>>;

pub(super) fn open(feed: &EventFeed, last_event_id: &str) -> Result<Responses, Status> {
    let after = match last_event_id {
        "" => None,
        id => Some(id.parse::<Uuid>().map_err(|_| invalid("last_event_id", &"must be the id of an event"))?),
    };
    let items = feed.watch(after).map(response);
    // The feed ends when the process stops, or when its history cannot be read; in both cases the client can resume.
    let end = stream::once(async { Err(kennel_grpc::status(ErrorKind::Unavailable, "", Details::default())) });
    // A status ends a gRPC stream; no message may follow it.
    let ended = items.chain(end).scan(false, |ended, item| {
        let next = (!*ended).then_some(item);
        *ended = matches!(next, Some(Err(_)));
        std::future::ready(next)
    });
    Ok(Box::pin(ended))
}

fn response(update: FeedUpdate) -> Result<pb::WatchDogsResponse, Status> {
    match update.item {
        None => Ok(pb::WatchDogsResponse { id: update.position.to_string(), ..Default::default() }),
        Some(FeedItem::Event(event)) => with_event(&event),
        Some(FeedItem::Reset) => Err(kennel_grpc::status(
            ErrorKind::PreconditionFailed,
            "the event to resume after is unknown or was purged",
            Details::default(),
        )),
    }
}

fn with_event(event: &Event) -> Result<pb::WatchDogsResponse, Status> {
    let data: serde_json::Map<_, _> = serde_json::from_slice(&event.data)
        .map_err(|error| kennel_grpc::fault(ErrorKind::Internal, &error, Details::default()))?;
    Ok(pb::WatchDogsResponse {
        id: event.id.to_string(),
        r#type: event.name.clone(),
        time: Some(timestamp(event.time.as_millis())),
        subject: event.key.clone(),
        data: Some(object(data)),
    })
}
