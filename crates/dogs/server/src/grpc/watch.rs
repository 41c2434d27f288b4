//! `WatchDogs`: the event feed as a stream of messages.

use kennel_core::Event;
use kennel_outbox::EventFeed;
use kennel_proto::convert::{object, timestamp};
use kennel_proto::dogs::v1 as pb;
use kennel_service::watch::{Messages, data, watch};
use tonic::Status;
use uuid::Uuid;

pub(super) fn open(feed: &EventFeed, last_event_id: &str) -> Result<Messages<pb::WatchDogsResponse>, Status> {
    watch(feed, last_event_id, message)
}

fn message(id: Uuid, event: Option<&Event>) -> Result<pb::WatchDogsResponse, Status> {
    let id = id.to_string();
    let Some(event) = event else { return Ok(pb::WatchDogsResponse { id, ..Default::default() }) };
    Ok(pb::WatchDogsResponse {
        id,
        r#type: event.name.clone(),
        time: Some(timestamp(event.time.as_millis())),
        subject: event.key.clone(),
        data: Some(object(data(event)?)),
    })
}
