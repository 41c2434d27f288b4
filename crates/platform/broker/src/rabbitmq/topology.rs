//! The exchanges and queues.
//!
//! A topic is a fanout exchange, to which listeners bind; behind it is a direct exchange that sends each partition to
//! the queues of the groups. What no group is there for goes to a queue of its own, from which the first group takes it.
//! Refused letters, and what the server itself gives up on, go to the dead-letter exchange of the prefix.
//!
//! An operator can remove any of them. Whoever publishes, reads or listens declares them anew, when an operation fails
//! and every [`UPKEEP`] besides. With the exchange of a topic the bindings of its listeners go, and the server does not report
//! that; so whoever creates it again sends a message by a second exchange, which all listeners are bound to as well.

use std::time::Duration;

use kennel_core::broker::BrokerError;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ExchangeBindOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, ExchangeKind};

use super::session::Session;
use super::unavailable;
use crate::group::word;

/// How often what could be gone is declared anew.
pub(super) const UPKEEP: Duration = Duration::from_secs(5);
/// What the message has as its type that reports a topic created again.
pub(super) const RENEWED: &str = "kennel.renewed";
/// The most events kept of a topic that has no group; the oldest go first.
const MAX_UNCLAIMED: i64 = 100_000;
/// The most dead letters of a prefix; when there are as many, no event is given up on.
const MAX_DEAD: i64 = 50_000;
/// How long the queue of a listener that is away is kept, in milliseconds.
const LISTENER_EXPIRES: i64 = 5 * 60 * 1_000;
/// The most events kept for a listener that is away or slow; the oldest go first.
const MAX_LISTENER: i64 = 100_000;
/// More than an event can ever be refused: giving up on one is the group's business, not the server's.
const MAX_RETURNS: i64 = 1_000_000;

/// The names of exchanges and queues. Those of different topics and groups never meet.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: word(prefix) }
    }

    pub(super) fn topic(&self, topic: &str) -> ShortString {
        format!("{}.topic.{}", self.prefix, word(topic)).into()
    }

    /// The exchange by which listeners hear that the topic was created again.
    fn renewed(&self, topic: &str) -> ShortString {
        format!("{}.renewed.{}", self.prefix, word(topic)).into()
    }

    fn groups(&self, topic: &str) -> ShortString {
        format!("{}.groups.{}", self.prefix, word(topic)).into()
    }

    pub(super) fn unclaimed(&self, topic: &str) -> ShortString {
        format!("{}.unclaimed.{}", self.prefix, word(topic)).into()
    }

    pub(super) fn queue(&self, topic: &str, group: &str, partition: u16) -> ShortString {
        format!("{}.queue.{}.{}.{partition}", self.prefix, word(topic), word(group)).into()
    }

    pub(super) fn lock(&self, topic: &str, group: &str, partition: u16) -> ShortString {
        format!("{}.lock.{}.{}.{partition}", self.prefix, word(topic), word(group)).into()
    }

    pub(super) fn members(&self, topic: &str, group: &str) -> ShortString {
        format!("{}.members.{}.{}", self.prefix, word(topic), word(group)).into()
    }

    pub(super) fn listener(&self, topic: &str, name: &str) -> ShortString {
        format!("{}.listener.{}.{name}", self.prefix, word(topic)).into()
    }

    /// The dead letters: the exchange and the queue behind it.
    pub(super) fn dead(&self) -> ShortString {
        format!("{}.dead", self.prefix).into()
    }
}

fn table<const N: usize>(arguments: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert(name.into(), value);
    }
    table
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

async fn exchange(
    channel: &Channel,
    name: ShortString,
    kind: ExchangeKind,
    arguments: FieldTable,
) -> Result<(), BrokerError> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(name, kind, options, arguments).await.map_err(unavailable)
}

/// Makes a durable queue and binds it.
async fn queue(
    channel: &Channel,
    name: ShortString,
    bound: (ShortString, ShortString),
    arguments: FieldTable,
) -> Result<(), BrokerError> {
    channel.queue_declare(name.clone(), QueueDeclareOptions::durable(), arguments).await.map_err(unavailable)?;
    let (exchange, key) = bound;
    let binding = channel.queue_bind(name, exchange, key, QueueBindOptions::default(), FieldTable::default());
    binding.await.map_err(unavailable)
}

/// Makes what a topic needs to be published to.
pub(super) async fn topic(session: &Session, channel: &Channel, names: &Names, topic: &str) -> Result<(), BrokerError> {
    exchange(channel, names.renewed(topic), ExchangeKind::Fanout, FieldTable::default()).await?;
    if !session.has_exchange(names.topic(topic), ExchangeKind::Fanout).await? {
        let properties = BasicProperties::default().with_type(RENEWED.into());
        let options = BasicPublishOptions::default();
        let sent = channel.basic_publish(names.renewed(topic), "".into(), options, &[], properties).await;
        sent.map_err(unavailable)?.await.map_err(unavailable)?;
    }
    let unclaimed = names.unclaimed(topic);
    exchange(channel, unclaimed.clone(), ExchangeKind::Fanout, FieldTable::default()).await?;
    let kept = table([("x-queue-type", text("quorum")), ("x-max-length", AMQPValue::LongLongInt(MAX_UNCLAIMED))]);
    queue(channel, unclaimed.clone(), (unclaimed.clone(), "".into()), kept).await?;
    exchange(channel, names.topic(topic), ExchangeKind::Fanout, FieldTable::default()).await?;
    let otherwise = table([("alternate-exchange", text(unclaimed.as_str()))]);
    exchange(channel, names.groups(topic), ExchangeKind::Direct, otherwise).await?;
    bind_groups(channel, names, topic).await
}

/// Has the groups get what is published. Fails, and closes the channel, when the exchange of either is gone.
pub(super) async fn bind_groups(channel: &Channel, names: &Names, topic: &str) -> Result<(), BrokerError> {
    let options = ExchangeBindOptions::default();
    let (groups, topic) = (names.groups(topic), names.topic(topic));
    channel.exchange_bind(groups, topic, "".into(), options, FieldTable::default()).await.map_err(unavailable)
}

/// Makes the place of dead letters.
pub(super) async fn dead(channel: &Channel, names: &Names) -> Result<(), BrokerError> {
    exchange(channel, names.dead(), ExchangeKind::Fanout, FieldTable::default()).await?;
    let arguments = table([
        ("x-queue-type", text("quorum")),
        ("x-single-active-consumer", AMQPValue::Boolean(true)),
        ("x-max-length", AMQPValue::LongLongInt(MAX_DEAD)),
        ("x-overflow", text("reject-publish")),
        ("x-delivery-limit", AMQPValue::LongLongInt(MAX_RETURNS)),
    ]);
    queue(channel, names.dead(), (names.dead(), "".into()), arguments).await
}

/// Makes the queues of a group, and takes over what the topic had before there was any group.
pub(super) async fn group(
    channel: &Channel,
    names: &Names,
    topic: &str,
    group: &str,
    partitions: u16,
) -> Result<(), BrokerError> {
    dead(channel, names).await?;
    for partition in 0..partitions {
        let arguments = table([
            ("x-queue-type", text("quorum")),
            ("x-single-active-consumer", AMQPValue::Boolean(true)),
            ("x-delivery-limit", AMQPValue::LongLongInt(MAX_RETURNS)),
            ("x-dead-letter-exchange", text(names.dead().as_str())),
            ("x-dead-letter-strategy", text("at-least-once")),
            ("x-overflow", text("reject-publish")),
        ]);
        let bound = (names.groups(topic), partition.to_string().into());
        queue(channel, names.queue(topic, group, partition), bound, arguments).await?;
    }
    claim(channel, names, topic).await
}

/// Gives the groups what came before there was any.
async fn claim(channel: &Channel, names: &Names, topic: &str) -> Result<(), BrokerError> {
    let (unclaimed, options) = (names.unclaimed(topic), QueueDeclareOptions::durable().passive());
    let waiting =
        channel.queue_declare(unclaimed.clone(), options, FieldTable::default()).await.map_err(unavailable)?;
    // What no group takes comes back, and is not claimed once more now.
    for _ in 0..waiting.message_count() {
        let got = channel.basic_get(unclaimed.clone(), BasicGetOptions::default()).await.map_err(unavailable)?;
        let Some(found) = got.map(|got| got.delivery) else {
            return Ok(());
        };
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (to, key) = (names.groups(topic), found.routing_key.clone());
        let sent = channel.basic_publish(to, key, options, &found.data, found.properties.clone());
        let confirmed = sent.await.map_err(unavailable)?.await.map_err(unavailable)?;
        if !confirmed.is_ack() {
            return Err(unavailable("event was not taken"));
        }
        found.acker.ack(BasicAckOptions::default()).await.map_err(unavailable)?;
    }
    Ok(())
}

/// Makes the queue of a listener, which outlives a lost connection for a while.
pub(super) async fn listener(
    channel: &Channel,
    names: &Names,
    topic: &str,
    name: ShortString,
) -> Result<(), BrokerError> {
    let arguments = table([
        ("x-expires", AMQPValue::LongLongInt(LISTENER_EXPIRES)),
        ("x-max-length", AMQPValue::LongLongInt(MAX_LISTENER)),
    ]);
    queue(channel, name.clone(), (names.renewed(topic), "".into()), arguments.clone()).await?;
    queue(channel, name, (names.topic(topic), "".into()), arguments).await
}
