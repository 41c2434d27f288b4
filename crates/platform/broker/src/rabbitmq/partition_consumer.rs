//! Background task of a member: holds its share of the partitions and receives their events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, SelectAll};
use kennel_core::broker::BrokerError;
use kennel_core::{DeadLetter, EventFilter};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{ChannelId, FieldTable};
use lapin::{Acker, Channel, Consumer};
use tokio::time::{Instant, interval, interval_at};
use tokio_util::sync::CancellationToken;

use super::session::{Session, close_channel};
use super::{Core, RECONNECT_BACKOFF, REFUSED_TIMEOUT, topology, unavailable, wire, with_timeout};
use crate::group::{DeliveryBuffer, FailureTimer, MessageHandle, Received, quota};

/// How often a partition that is being released is checked.
const RELEASE_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Settles a message by its delivery tag.
#[derive(Clone)]
pub(super) struct RabbitHandle {
    core: Arc<Core>,
    acker: Arc<Acker>,
}

#[async_trait]
impl MessageHandle for RabbitHandle {
    /// If the connection breaks at this moment, the driver may never return.
    async fn ack(&self) -> Result<(), BrokerError> {
        let acking = async { self.acker.ack(BasicAckOptions::default()).await.map_err(unavailable) };
        if with_timeout(acking).await? { Ok(()) } else { Err(unavailable("the connection is closed")) }
    }

    /// The message stays in the member: a message that is requeued gets behind later ones of its key when its member
    /// ends before settling it.
    fn nack(&self, _: Duration) -> Option<BoxFuture<'static, Result<(), BrokerError>>> {
        None
    }

    async fn dead_letter(&self, dead_letter: &DeadLetter) -> Result<(), BrokerError> {
        self.core.store_dead_letter(dead_letter).await
    }
}

/// A partition that this member holds.
struct OwnedPartition {
    channel: Channel,
    /// Released when it has no unsettled deliveries.
    leaving: bool,
}

/// See the [module](self).
pub(super) struct PartitionConsumer {
    core: Arc<Core>,
    topic: String,
    group: String,
    filter: EventFilter,
    buffer: Arc<DeliveryBuffer<RabbitHandle>>,
}

/// The state of a member on one connection.
pub(super) struct Membership {
    session: Session,
    control: Channel,
    /// Consumer by which other members count this one.
    member_marker: Consumer,
    owned: BTreeMap<u16, OwnedPartition>,
    events: SelectAll<BoxStream<'static, Incoming>>,
}

/// A message of a partition, and the channel that received it.
struct Incoming {
    partition: u16,
    channel: ChannelId,
    event: Result<Delivery, BrokerError>,
}

/// Why a connection is closed.
enum SessionEnd {
    Leaving,
    Lost,
}

impl PartitionConsumer {
    /// Creates the group if it does not exist, and joins it.
    pub(super) async fn join(
        core: Arc<Core>,
        (topic, group): (&str, &str),
        filter: &EventFilter,
        buffer: Arc<DeliveryBuffer<RabbitHandle>>,
    ) -> Result<(Self, Membership), BrokerError> {
        let (topic, group, filter) = (topic.to_owned(), group.to_owned(), filter.clone());
        let consumer = Self { core, topic, group, filter, buffer };
        let session = Session::open(&consumer.core).await?;
        let membership = consumer.open(session).await?;
        consumer.core.count_group(&consumer.topic, &consumer.group, 1);
        Ok((consumer, membership))
    }

    async fn open(&self, session: Session) -> Result<Membership, BrokerError> {
        let opened = with_timeout(async {
            let (core, topic, group) = (&self.core, &self.topic, &self.group);
            let control = session.confirming().await?;
            self.declare(&session, &control).await?;
            self.members(&control).await?;
            let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
            let member_marker = control.basic_consume(core.names.members(topic, group), "".into(), options, arguments);
            let member_marker = member_marker.await.map_err(unavailable)?;
            let (owned, events) = (BTreeMap::new(), SelectAll::new());
            Ok(Membership { session, control, member_marker, owned, events })
        });
        let mut membership = opened.await?;
        with_timeout(self.balance(&mut membership)).await?;
        Ok(membership)
    }

    /// Declares all exchanges and queues of the group.
    async fn declare(&self, session: &Session, control: &Channel) -> Result<(), BrokerError> {
        let Self { core, topic, group, .. } = self;
        topology::topic(session, control, &core.names, topic).await?;
        topology::group(session, control, &core.names, topic, group, core.config.partitions.get()).await
    }

    /// Runs until `leaving` is cancelled; reconnects as often as needed.
    pub(super) async fn run(self, membership: Membership, leaving: CancellationToken) {
        let (mut membership, mut failures, mut failure_timer) = (Some(membership), 0, FailureTimer::default());
        loop {
            if let Some(mut membership) = membership.take() {
                failures = 0;
                let session_end = self.work(&mut membership, &leaving).await;
                if matches!(session_end, SessionEnd::Leaving) {
                    self.buffer.end();
                }
                self.drop_membership(membership).await;
            }
            if leaving.is_cancelled() {
                break;
            }
            failures += 1;
            tokio::select! {
                () = leaving.cancelled() => break,
                () = tokio::time::sleep(RECONNECT_BACKOFF.delay(failures)) => {}
            }
            tokio::select! {
                () = leaving.cancelled() => break,
                opened = self.open_again(&mut failure_timer) => membership = opened,
            }
        }
        self.buffer.end();
        self.core.count_group(&self.topic, &self.group, -1);
    }

    /// Joins the group again. The subscriber gets the error when joining fails for long while the server accepts
    /// connections.
    async fn open_again(&self, failure_timer: &mut FailureTimer) -> Option<Membership> {
        let Ok(session) = Session::open(&self.core).await else {
            failure_timer.clear();
            return None;
        };
        match self.open(session).await {
            Ok(membership) => {
                failure_timer.clear();
                Some(membership)
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, group = self.group, "cannot join the group");
                if failure_timer.failed(REFUSED_TIMEOUT) {
                    self.buffer.report_error(error);
                }
                None
            }
        }
    }

    /// Closes the connection; the server delivers the unsettled events to the next member, in order.
    async fn drop_membership(&self, membership: Membership) {
        for &partition in membership.owned.keys() {
            self.buffer.pause(partition);
            self.buffer.remove_partition(partition);
        }
        membership.session.close().await;
    }

    async fn work(&self, membership: &mut Membership, leaving: &CancellationToken) -> SessionEnd {
        let mut balance = interval(self.core.config.balance);
        let mut release_poll = interval(RELEASE_POLL_INTERVAL);
        let mut redeclare = interval_at(Instant::now() + topology::DECLARE_INTERVAL, topology::DECLARE_INTERVAL);
        loop {
            let outcome = tokio::select! {
                biased;
                () = leaving.cancelled() => return SessionEnd::Leaving,
                _ = balance.tick() => with_timeout(self.balance(membership)).await,
                _ = release_poll.tick(), if membership.owned.values().any(|owned| owned.leaving) => {
                    with_timeout(self.release_settled(membership)).await
                }
                _ = redeclare.tick() => with_timeout(self.declare(&membership.session, &membership.control)).await,
                // The other members no longer count this one.
                _ended = membership.member_marker.next() => Err(unavailable("the members queue was deleted")),
                Some(incoming) = membership.events.next() => self.handle_incoming(membership, incoming).await,
            };
            let channels_are_open = membership.owned.values().all(|owned| owned.channel.status().connected());
            if let Err(error) = outcome {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    group = self.group,
                    "connection of a group member is closed"
                );
                return SessionEnd::Lost;
            }
            if !membership.session.is_open() || !membership.control.status().connected() || !channels_are_open {
                return SessionEnd::Lost;
            }
        }
    }

    /// Messages of a released partition are ignored: the server has requeued them.
    async fn handle_incoming(&self, membership: &mut Membership, incoming: Incoming) -> Result<(), BrokerError> {
        let Incoming { partition, channel, event } = incoming;
        if membership.owned.get(&partition).is_some_and(|owned| owned.channel.id() == channel) {
            self.receive(partition, event?).await;
        }
        Ok(())
    }

    async fn receive(&self, partition: u16, delivery: Delivery) {
        let attempt = wire::attempt(&delivery.properties);
        let handle = RabbitHandle { core: Arc::clone(&self.core), acker: Arc::new(delivery.acker) };
        match wire::event(&self.topic, &delivery.properties, delivery.data) {
            Ok(event) if self.filter.includes(&event) => {
                self.buffer.push(Received { event: event.into(), attempt, partition, position: None, handle });
            }
            Ok(_) => {
                // The server requeues it when the connection is lost, and it is acknowledged again.
                let _lost_connection = handle.ack().await;
            }
            Err(error) => {
                // The server dead-letters it for inspection; a redelivery would not help.
                let _lost_connection = handle.acker.nack(BasicNackOptions::default()).await;
                self.buffer.report_error(BrokerError::Corrupt(error.into()));
            }
        }
    }

    /// Returns the number of members; declares the queue that counts them.
    async fn members(&self, control: &Channel) -> Result<usize, BrokerError> {
        let (name, options) = (self.core.names.members(&self.topic, &self.group), QueueDeclareOptions::durable());
        let queue = control.queue_declare(name, options.auto_delete(), FieldTable::default()).await;
        usize::try_from(queue.map_err(unavailable)?.consumer_count()).map_err(unavailable)
    }

    /// Takes free partitions, or releases some, for an even distribution.
    async fn balance(&self, membership: &mut Membership) -> Result<(), BrokerError> {
        let partitions = self.core.config.partitions.get();
        let quota = quota(partitions, self.members(&membership.control).await?);
        let retained: Vec<_> =
            membership.owned.iter().filter(|(_, owned)| !owned.leaving).map(|(&partition, _)| partition).collect();
        for partition in retained.iter().skip(quota) {
            self.buffer.pause(*partition);
            if let Some(owned) = membership.owned.get_mut(partition) {
                owned.leaving = true;
            }
        }
        for partition in 0..partitions {
            if membership.owned.len() >= quota {
                break;
            }
            if !membership.owned.contains_key(&partition) && self.is_free(&membership.control, partition).await? {
                self.take(membership, partition).await?;
            }
        }
        Ok(())
    }

    /// Returns whether a partition has no consumer.
    async fn is_free(&self, control: &Channel, partition: u16) -> Result<bool, BrokerError> {
        let queue = self.core.names.queue(&self.topic, &self.group, partition);
        Ok(topology::inspect(control, queue).await?.consumer_count() == 0)
    }

    /// Takes a partition, unless another member was faster.
    async fn take(&self, membership: &mut Membership, partition: u16) -> Result<(), BrokerError> {
        let lock = self.core.names.lock(&self.topic, &self.group, partition);
        let Some(channel) = membership.session.lock(lock).await? else { return Ok(()) };
        channel.basic_qos(self.core.config.buffer.get(), BasicQosOptions::default()).await.map_err(unavailable)?;
        let queue = self.core.names.queue(&self.topic, &self.group, partition);
        let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
        let events = channel.basic_consume(queue, "".into(), options, arguments).await.map_err(unavailable)?;
        self.buffer.resume(partition);
        let id = channel.id();
        // The server ends the consumer when the queue is deleted, without another notification.
        let end = futures_util::stream::iter([Err(unavailable("the server ended the consumer"))]);
        let events = events.map(|event| event.map_err(unavailable)).chain(end);
        membership.events.push(events.map(move |event| Incoming { partition, channel: id, event }).boxed());
        membership.owned.insert(partition, OwnedPartition { channel, leaving: false });
        Ok(())
    }

    /// Releases partitions that are leaving and have no unsettled deliveries.
    async fn release_settled(&self, membership: &mut Membership) -> Result<(), BrokerError> {
        let is_settled =
            |partition: &u16, owned: &mut OwnedPartition| owned.leaving && !self.buffer.has_claimed(*partition);
        for (partition, owned) in membership.owned.extract_if(.., is_settled) {
            // Closing the channel requeues its unsettled messages.
            close_channel(&owned.channel).await;
            self.buffer.remove_partition(partition);
            let lock = self.core.names.lock(&self.topic, &self.group, partition);
            membership.control.queue_delete(lock, QueueDeleteOptions::default()).await.map_err(unavailable)?;
        }
        Ok(())
    }
}
