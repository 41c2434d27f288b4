//! Dead letters: a quorum queue bound to an exchange.
//!
//! A queue can only be read by consuming it: every operation consumes all dead letters up to a marker message that it
//! publishes first, and requeues those that remain. The queue has a single active consumer, so that one operation runs
//! at a time.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use kennel_core::broker::BrokerError;
use kennel_core::json::read_object;
use kennel_core::{DeadLetter, DeadLetters, Event, RepoError, Timestamp};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Acker, Channel, Consumer};
use uuid::Uuid;

use super::marker::Marker;
use super::session::Session;
use super::{Core, send, topology, unavailable, wire, with_timeout};
use crate::dead_letters::latest;
use crate::group::dead_letters::{FAILURE_HEADER, FailureDetails, page};

/// More dead letters than the queue can contain.
const MAX_PREFETCH: u16 = u16::MAX;

/// Dead-letter store of the groups of a prefix.
pub struct RabbitDeadLetters(Arc<Core>);

impl Core {
    /// Stores a dead letter durably.
    pub(super) async fn store_dead_letter(&self, dead_letter: &DeadLetter) -> Result<(), BrokerError> {
        let details = serde_json::to_string(&FailureDetails::of(dead_letter))
            .map_err(|error| BrokerError::Backend(error.into()))?;
        let properties = wire::properties(&dead_letter.event, Some((FAILURE_HEADER, &details)));
        let stored = self.with_publisher(async |publisher| {
            topology::dead(&publisher.channel, &self.names).await?;
            send(&publisher.channel, self.names.dead(), "".into(), &dead_letter.event.data, properties).await
        });
        stored.await
    }
}

fn into_repo_error(error: BrokerError) -> RepoError {
    match error {
        BrokerError::Unavailable(source) => RepoError::Unavailable(source),
        BrokerError::Corrupt(source) => RepoError::Corrupt(source),
        other => RepoError::Backend(other.into()),
    }
}

/// Decodes a dead letter; `None` for a message that is not one of ours, which the management tools of RabbitMQ can
/// show.
fn dead_letter(message: &Delivery) -> Option<DeadLetter> {
    let details = wire::header(&message.properties, FAILURE_HEADER);
    let details = details.and_then(|details| read_object::<FailureDetails>(details.as_bytes()).ok())?;
    let event = wire::event(&details.topic, &message.properties, message.data.clone()).ok()?;
    Some(details.into_dead_letter(event))
}

/// All dead letters, consumed until the connection is closed.
struct Snapshot {
    session: Session,
    /// The channel retains the unacknowledged messages, the consumer the position as the single active consumer.
    _consumer: (Channel, Consumer),
    dead_letters: Vec<(DeadLetter, Acker)>,
}

impl Snapshot {
    /// Returns the dead letters of an event.
    fn of_event(&self, event: Uuid) -> Vec<DeadLetter> {
        latest(
            self.dead_letters
                .iter()
                .map(|(dead_letter, _)| dead_letter)
                .filter(|dead_letter| dead_letter.event.id == event)
                .cloned(),
        )
    }

    /// Removes the dead letters of an event. Returns false when there is none.
    async fn remove(&self, event: Uuid) -> Result<bool, BrokerError> {
        let mut found = false;
        for (_, acker) in self.dead_letters.iter().filter(|(dead_letter, _)| dead_letter.event.id == event) {
            acker.ack(BasicAckOptions::default()).await.map_err(unavailable)?;
            found = true;
        }
        Ok(found)
    }
}

impl RabbitDeadLetters {
    pub(super) const fn new(core: Arc<Core>) -> Self {
        Self(core)
    }

    /// Consumes all dead letters, runs `work`, and requeues those that remain.
    async fn with_snapshot<T>(
        &self,
        work: impl AsyncFnOnce(&Snapshot) -> Result<T, BrokerError>,
    ) -> Result<T, RepoError> {
        let outcome = async {
            let snapshot = with_timeout(self.snapshot()).await?;
            let outcome = work(&snapshot).await;
            snapshot.session.close().await;
            outcome
        };
        outcome.await.map_err(into_repo_error)
    }

    async fn snapshot(&self) -> Result<Snapshot, BrokerError> {
        let session = Session::open(&self.0).await?;
        let channel = session.confirming().await?;
        topology::dead(&channel, &self.0.names).await?;
        channel.basic_qos(MAX_PREFETCH, BasicQosOptions::default()).await.map_err(unavailable)?;
        let marker = Marker::publish(&channel, self.0.names.dead()).await?;
        let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
        let messages = channel.basic_consume(self.0.names.dead(), "".into(), options, arguments).await;
        let mut messages = messages.map_err(unavailable)?;
        let mut dead_letters = Vec::new();
        while let Some(message) = messages.next().await {
            let message = message.map_err(unavailable)?;
            if let Some(is_ours) = marker.is(&message.properties) {
                message.acker.ack(BasicAckOptions::default()).await.map_err(unavailable)?;
                if is_ours {
                    return Ok(Snapshot { session, _consumer: (channel, messages), dead_letters });
                }
            } else if let Some(dead_letter) = dead_letter(&message) {
                dead_letters.push((dead_letter, message.acker));
            }
        }
        Err(unavailable("the connection is closed"))
    }

    async fn publish(&self, event: &Event) -> Result<(), BrokerError> {
        let published = self.0.with_publisher(async |publisher| {
            self.0.topic(publisher, &event.topic).await?;
            self.0.store(publisher, event).await
        });
        published.await
    }
}

#[async_trait]
impl DeadLetters for RabbitDeadLetters {
    async fn list(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<DeadLetter>, RepoError> {
        let all = self
            .with_snapshot(async |snapshot| {
                Ok(latest(snapshot.dead_letters.iter().map(|(dead_letter, _)| dead_letter.clone())))
            })
            .await?;
        Ok(page(all, |dead_letter| dead_letter.event.id, after, limit))
    }

    async fn find(&self, event: Uuid) -> Result<Vec<DeadLetter>, RepoError> {
        self.with_snapshot(async |snapshot| Ok(snapshot.of_event(event))).await
    }

    async fn replay(&self, event: Uuid, _now: Timestamp) -> Result<bool, RepoError> {
        let replayed = self.with_snapshot(async |snapshot| {
            let dead_letters = snapshot.of_event(event);
            let Some(last) = dead_letters.iter().max_by_key(|dead_letter| dead_letter.at) else {
                return Ok(false);
            };
            self.publish(&last.event).await?;
            snapshot.remove(event).await
        });
        replayed.await
    }

    async fn discard(&self, event: Uuid) -> Result<bool, RepoError> {
        self.with_snapshot(async |snapshot| snapshot.remove(event).await).await
    }
}
