//! Invalidates the cached dogs of this replica that any replica has changed.

use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use dogs_domain::DogId;
use dogs_domain::events::{DogDeleted, DogUpdated, ThumbnailStored};
use dogs_storages::CachedDogRepository;
use futures_util::StreamExt as _;
use kennel_app::{Component, Stop};
use kennel_core::json::JsonError;
use kennel_core::{BoxError, Event, EventType as _};
use kennel_outbox::{EventFeed, FeedItem, span};
use tracing::Instrument as _;

/// Receives every event and invalidates the cache entry of the dog that it names.
///
/// A missed event, such as while the broker is unreachable, leaves a stale entry for at most its time to live.
pub struct Invalidator {
    feed: EventFeed,
    cached: Arc<CachedDogRepository>,
    system: &'static str,
}

impl Invalidator {
    /// Invalidates entries of `cached` by the events of `feed`, which reads from the broker `system`.
    pub fn new(feed: EventFeed, cached: Arc<CachedDogRepository>, system: &'static str) -> Self {
        Self { feed, cached, system }
    }
}

fn changed_dog(event: &Event) -> Result<Option<DogId>, JsonError> {
    Ok(match event.name.as_str() {
        DogUpdated::NAME => event.decode::<DogUpdated>()?.map(|event| event.id),
        DogDeleted::NAME => event.decode::<DogDeleted>()?.map(|event| event.id),
        ThumbnailStored::NAME => event.decode::<ThumbnailStored>()?.map(|event| event.id),
        _ => None,
    })
}

#[async_trait]
impl Component for Invalidator {
    fn name(&self) -> &'static str {
        "cache-invalidator"
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        let mut events = pin!(self.feed.open(None));
        loop {
            let item = tokio::select! {
                () = stop.requested() => return Ok(()),
                item = events.next() => item,
            };
            let event = match item {
                Some(FeedItem::Event(event)) => event,
                Some(FeedItem::Reset) => continue,
                // The feed ends only when the process stops.
                None => {
                    stop.requested().await;
                    return Ok(());
                }
            };
            match changed_dog(&event) {
                Ok(Some(id)) => {
                    let span = span::process(self.system, self.name(), &event, 1);
                    self.cached.invalidate(id).instrument(span).await;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(event.id = %event.id, %error, "cannot decode event"),
            }
        }
    }
}
