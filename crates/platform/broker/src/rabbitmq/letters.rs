//! Dead letters: a quorum queue behind an exchange.
//!
//! A queue shows only what it hands out, so every look takes all letters, up to a mark that the looker puts behind them, and
//! gives back those that are to stay. One looks at a time: the queue has a single active consumer.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use kennel_core::broker::BrokerError;
use kennel_core::json::read_object;
use kennel_core::{DeadLetter, DeadLetters, Event, RepoError, Timestamp};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Acker, BasicProperties, Channel, Consumer};
use uuid::Uuid;

use super::session::Session;
use super::{Core, answered, send, topology, unavailable, wire};
use crate::group::letters::{NOTE_HEADER, Note, page};
use crate::group::unique;
use crate::letters::latest;

/// What a mark has as its type.
const MARK: &str = "kennel.mark";
/// More letters than a queue can have.
const ALL: u16 = u16::MAX;

/// The dead letters of the groups of a prefix.
pub struct RabbitDeadLetters(Arc<Core>);

impl Core {
    /// Stores a letter durably.
    pub(super) async fn bury(&self, letter: &DeadLetter) -> Result<(), BrokerError> {
        let note = serde_json::to_string(&Note::on(letter)).map_err(|error| BrokerError::Backend(error.into()))?;
        let properties = wire::properties(&letter.event, Some((NOTE_HEADER, &note)));
        let buried = self.by(async |publishing| {
            topology::dead(&publishing.channel, &self.names).await?;
            send(&publishing.channel, self.names.dead(), "".into(), &letter.event.data, properties).await
        });
        buried.await
    }
}

fn in_repository(error: BrokerError) -> RepoError {
    match error {
        BrokerError::Unavailable(source) => RepoError::Unavailable(source),
        BrokerError::Corrupt(source) => RepoError::Corrupt(source),
        other => RepoError::Backend(other.into()),
    }
}

/// The letter that a message is; `None` for one that is no event, which the management tools of RabbitMQ show.
fn letter(message: &Delivery) -> Option<DeadLetter> {
    let note = wire::header(&message.properties, NOTE_HEADER);
    let note = note.and_then(|note| read_object::<Note>(note.as_bytes()).ok())?;
    let event = wire::event(&note.topic, &message.properties, message.data.clone()).ok()?;
    Some(note.letter(event))
}

/// All letters, held until the connection is closed.
struct Look {
    session: Session,
    /// The letters are held by it, and the place of the one who looks by its consumer.
    _held: (Channel, Consumer),
    letters: Vec<(DeadLetter, Acker)>,
}

impl Look {
    /// The letters of an event.
    fn of(&self, event: Uuid) -> Vec<DeadLetter> {
        latest(self.letters.iter().map(|(letter, _)| letter).filter(|letter| letter.event.id == event).cloned())
    }

    /// Removes the letters of an event. False when there is none.
    async fn remove(&self, event: Uuid) -> Result<bool, BrokerError> {
        let mut found = false;
        for (_, acker) in self.letters.iter().filter(|(letter, _)| letter.event.id == event) {
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

    /// Takes all letters, does something with them, and gives back what is left.
    async fn looking<T>(&self, work: impl AsyncFnOnce(&Look) -> Result<T, BrokerError>) -> Result<T, RepoError> {
        let done = async {
            let look = answered(self.look()).await?;
            let done = work(&look).await;
            look.session.close().await;
            done
        };
        done.await.map_err(in_repository)
    }

    async fn look(&self) -> Result<Look, BrokerError> {
        let session = Session::open(&self.0).await?;
        let channel = session.confirming().await?;
        topology::dead(&channel, &self.0.names).await?;
        channel.basic_qos(ALL, BasicQosOptions::default()).await.map_err(unavailable)?;
        let mark = self.mark(&channel).await?;
        let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
        let messages = channel.basic_consume(self.0.names.dead(), "".into(), options, arguments).await;
        let mut messages = messages.map_err(unavailable)?;
        let mut letters = Vec::new();
        while let Some(message) = messages.next().await {
            let message = message.map_err(unavailable)?;
            if message.properties.kind().as_ref().is_some_and(|kind| kind.as_str() == MARK) {
                message.acker.ack(BasicAckOptions::default()).await.map_err(unavailable)?;
                let is_ours = message.properties.message_id().as_ref().is_some_and(|id| id.as_str() == mark);
                if is_ours {
                    return Ok(Look { session, _held: (channel, messages), letters });
                }
            } else if let Some(letter) = letter(&message) {
                letters.push((letter, message.acker));
            }
        }
        Err(unavailable("the connection is gone"))
    }

    /// Puts a mark behind all letters; answers its name.
    async fn mark(&self, channel: &Channel) -> Result<String, BrokerError> {
        let name = unique();
        let properties = BasicProperties::default().with_type(MARK.into()).with_message_id(name.as_str().into());
        send(channel, "".into(), self.0.names.dead(), &[], properties).await?;
        Ok(name)
    }

    async fn publish(&self, event: &Event) -> Result<(), BrokerError> {
        let published = self.0.by(async |publishing| {
            self.0.topic(publishing, &event.topic).await?;
            self.0.store(publishing, event).await
        });
        published.await
    }
}

#[async_trait]
impl DeadLetters for RabbitDeadLetters {
    async fn list(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<DeadLetter>, RepoError> {
        let all = self.looking(async |look| Ok(latest(look.letters.iter().map(|(letter, _)| letter.clone())))).await?;
        Ok(page(all, |letter| letter.event.id, after, limit))
    }

    async fn find(&self, event: Uuid) -> Result<Vec<DeadLetter>, RepoError> {
        self.looking(async |look| Ok(look.of(event))).await
    }

    async fn replay(&self, event: Uuid, _now: Timestamp) -> Result<bool, RepoError> {
        let replayed = self.looking(async |look| {
            let letters = look.of(event);
            let Some(last) = letters.iter().max_by_key(|letter| letter.at) else {
                return Ok(false);
            };
            self.publish(&last.event).await?;
            look.remove(event).await
        });
        replayed.await
    }

    async fn discard(&self, event: Uuid) -> Result<bool, RepoError> {
        self.looking(async |look| look.remove(event).await).await
    }
}
