//! Declaration of exchanges and queues.
//!
//! A topic is a fanout exchange, to which broadcast queues are bound; a direct exchange bound to it routes each
//! partition to the queues of the groups. Events without a group go to the queue `unclaimed`, from which the first
//! group takes them. Rejected dead letters, and messages that the server itself dead-letters, go to the dead-letter
//! exchange of the prefix.
//!
//! An operator can delete any of them. Publishers, members and broadcast subscriptions declare them again after a
//! failed operation and every [`DECLARE_INTERVAL`]. Deleting the exchange of a topic also removes the bindings of its
//! broadcast queues, without a notification. So the client that creates it again publishes a message to a second
//! exchange, to which all broadcast queues are bound too.

use std::time::Duration;

use kennel_core::broker::BrokerError;
use lapin::options::{
    BasicPublishOptions, ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, ExchangeKind, Queue};

use super::session::Session;
use super::{unavailable, unclaimed};
use crate::group::encode_name;

/// How often exchanges and queues are declared again.
pub(super) const DECLARE_INTERVAL: Duration = Duration::from_secs(5);
/// Message type of the notification that a topic was created again.
pub(super) const RENEWED: &str = "kennel.renewed";
/// Maximum number of events stored for a topic without groups; the oldest are dropped.
const MAX_UNCLAIMED: i64 = 100_000;
/// Maximum number of dead letters of a prefix; above it, storing one fails and the event is retried.
const MAX_DEAD: i64 = 50_000;
/// Expiry of the queue of a disconnected broadcast subscription, in milliseconds.
const LISTENER_EXPIRES: i64 = 5 * 60 * 1_000;
/// Maximum number of events stored for a slow or disconnected broadcast subscription; the oldest are dropped.
const MAX_LISTENER: i64 = 100_000;
/// Effectively unlimited: the group decides when an event becomes a dead letter, not the server.
const MAX_RETURNS: i64 = 1_000_000;

/// Names of exchanges and queues, distinct for different topics and groups.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: encode_name(prefix) }
    }

    pub(super) fn topic(&self, topic: &str) -> ShortString {
        format!("{}.topic.{}", self.prefix, encode_name(topic)).into()
    }

    /// The exchange that announces to broadcast queues that the topic was created again.
    fn renewed(&self, topic: &str) -> ShortString {
        format!("{}.renewed.{}", self.prefix, encode_name(topic)).into()
    }

    pub(super) fn groups(&self, topic: &str) -> ShortString {
        format!("{}.groups.{}", self.prefix, encode_name(topic)).into()
    }

    pub(super) fn unclaimed(&self, topic: &str) -> ShortString {
        format!("{}.unclaimed.{}", self.prefix, encode_name(topic)).into()
    }

    /// The exchange that shows that the topic has or had a group.
    fn grouped(&self, topic: &str) -> ShortString {
        format!("{}.grouped.{}", self.prefix, encode_name(topic)).into()
    }

    pub(super) fn queue(&self, topic: &str, group: &str, partition: u16) -> ShortString {
        format!("{}.queue.{}.{}.{partition}", self.prefix, encode_name(topic), encode_name(group)).into()
    }

    pub(super) fn lock(&self, topic: &str, group: &str, partition: u16) -> ShortString {
        format!("{}.lock.{}.{}.{partition}", self.prefix, encode_name(topic), encode_name(group)).into()
    }

    /// The exclusive queue of the member that moves the unclaimed events.
    pub(super) fn claim(&self, topic: &str) -> ShortString {
        format!("{}.claim.{}", self.prefix, encode_name(topic)).into()
    }

    pub(super) fn members(&self, topic: &str, group: &str) -> ShortString {
        format!("{}.members.{}.{}", self.prefix, encode_name(topic), encode_name(group)).into()
    }

    pub(super) fn broadcast_queue(&self, topic: &str, name: &str) -> ShortString {
        format!("{}.listener.{}.{name}", self.prefix, encode_name(topic)).into()
    }

    /// The dead-letter exchange, and the queue bound to it.
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

/// Returns how many messages and consumers a durable queue has. Fails, and closes the channel, when it does not exist.
pub(super) async fn inspect(channel: &Channel, queue: ShortString) -> Result<Queue, BrokerError> {
    let options = QueueDeclareOptions::durable().passive();
    channel.queue_declare(queue, options, FieldTable::default()).await.map_err(unavailable)
}

/// Declares a durable queue and binds it.
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

/// Declares what is needed to publish to a topic.
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
    let arguments = table([("x-queue-type", text("quorum")), ("x-max-length", AMQPValue::LongLongInt(MAX_UNCLAIMED))]);
    queue(channel, unclaimed.clone(), (unclaimed.clone(), "".into()), arguments).await?;
    exchange(channel, names.topic(topic), ExchangeKind::Fanout, FieldTable::default()).await?;
    let alternate = table([("alternate-exchange", text(unclaimed.as_str()))]);
    exchange(channel, names.groups(topic), ExchangeKind::Direct, alternate).await?;
    bind_groups(channel, names, topic).await
}

/// Binds the groups' exchange to the topic. Fails, and closes the channel, when either exchange does not exist.
pub(super) async fn bind_groups(channel: &Channel, names: &Names, topic: &str) -> Result<(), BrokerError> {
    let options = ExchangeBindOptions::default();
    let (groups, topic) = (names.groups(topic), names.topic(topic));
    channel.exchange_bind(groups, topic, "".into(), options, FieldTable::default()).await.map_err(unavailable)
}

/// Returns whether a topic has or had a group.
pub(super) async fn is_grouped(session: &Session, names: &Names, topic: &str) -> Result<bool, BrokerError> {
    session.has_exchange(names.grouped(topic), ExchangeKind::Fanout).await
}

/// Declares the exchange and the queue of dead letters.
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

/// Declares the queues of a group, and claims the events that were published before the topic had a group.
pub(super) async fn group(
    session: &Session,
    channel: &Channel,
    names: &Names,
    topic: &str,
    group: &str,
    partitions: u16,
) -> Result<(), BrokerError> {
    dead(channel, names).await?;
    exchange(channel, names.grouped(topic), ExchangeKind::Fanout, FieldTable::default()).await?;
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
    unclaimed::claim(session, channel, names, topic).await
}

/// Declares the queue of a broadcast subscription, which survives a lost connection for a while.
pub(super) async fn broadcast_queue(
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
