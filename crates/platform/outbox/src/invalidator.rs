//! Invalidates cached values of this replica that any replica has changed.

use std::pin::pin;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use kennel_app::{Component, Stop};
use kennel_core::{BoxError, CodecError, Event};
use tracing::Instrument as _;

use crate::feed::{EventFeed, FeedItem};
use crate::span;

/// A cache with values that events make stale.
#[async_trait]
pub trait Invalidate: Send + Sync + 'static {
    /// Names a cached value.
    type Key: Send;

    /// The value that the event makes stale; `None` if it makes none stale.
    fn stale(&self, event: &Event) -> Result<Option<Self::Key>, CodecError>;

    /// Removes the value. A failure is not reported: the value expires.
    async fn invalidate(&self, key: Self::Key);
}

/// Receives every event and invalidates the cached value that it makes stale.
///
/// A missed event, such as while the broker is unreachable, leaves a stale value for at most its time to live.
pub struct Invalidator<C> {
    feed: EventFeed,
    cache: C,
    system: &'static str,
}

impl<C: Invalidate> Invalidator<C> {
    /// Invalidates values of `cache` by the events of `feed`, which reads from the broker `system`.
    pub const fn new(feed: EventFeed, cache: C, system: &'static str) -> Self {
        Self { feed, cache, system }
    }

    async fn handle(&self, event: &Event) {
        match self.cache.stale(event) {
            Ok(Some(key)) => {
                let span = span::process(self.system, self.name(), event, 1);
                self.cache.invalidate(key).instrument(span).await;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(event.id = %event.id, %error, "cannot decode event"),
        }
    }
}

#[async_trait]
impl<C: Invalidate> Component for Invalidator<C> {
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
            match item {
                Some(FeedItem::Event(event)) => self.handle(&event).await,
                Some(FeedItem::Reset) => {}
                // The feed ends only when the process stops.
                None => {
                    stop.requested().await;
                    return Ok(());
                }
            }
        }
    }
}
