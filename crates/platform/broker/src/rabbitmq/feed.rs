//! A member's work in the background: its part of the partitions, and what comes from them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, SelectAll};
use kennel_core::DeadLetter;
use kennel_core::broker::BrokerError;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{ChannelId, FieldTable};
use lapin::{Acker, Channel, Consumer};
use tokio::time::{Instant, interval, interval_at};
use tokio_util::sync::CancellationToken;

use super::session::{Session, close_channel};
use super::{Core, REFUSED, answered, backoff, topology, unavailable, wire};
use crate::group::{Arrival, Handle, Overdue, Shared, quota};

/// How often a partition that is given up is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Settles a message.
#[derive(Clone)]
pub(super) struct Tag {
    core: Arc<Core>,
    acker: Arc<Acker>,
}

#[async_trait]
impl Handle for Tag {
    /// On a connection that breaks at this moment, the driver may never answer.
    async fn ack(&self) -> Result<(), BrokerError> {
        let acking = async { self.acker.ack(BasicAckOptions::default()).await.map_err(unavailable) };
        if answered(acking).await? { Ok(()) } else { Err(unavailable("the connection is gone")) }
    }

    /// It stays here: what a server takes back and delivers again falls behind those of its key when its member is
    /// gone before it is settled.
    async fn again(&self, delay: Duration) -> Result<Option<Duration>, BrokerError> {
        Ok(Some(delay))
    }

    async fn bury(&self, letter: &DeadLetter) -> Result<(), BrokerError> {
        self.core.bury(letter).await
    }
}

/// A partition that this member has.
struct Owned {
    channel: Channel,
    /// Given up as soon as nothing of it is out.
    leaving: bool,
}

/// See the [module](self).
pub(super) struct Feed {
    core: Arc<Core>,
    topic: String,
    group: String,
    shared: Arc<Shared<Tag>>,
}

/// What a connection holds for a member.
pub(super) struct Place {
    session: Session,
    control: Channel,
    /// Shows that the member is there.
    presence: Consumer,
    owned: BTreeMap<u16, Owned>,
    events: SelectAll<BoxStream<'static, Incoming>>,
}

/// What comes from a partition, by the channel that it came on.
struct Incoming {
    partition: u16,
    channel: ChannelId,
    event: Result<Delivery, BrokerError>,
}

/// Why a connection is not used any longer.
enum End {
    Leaving,
    Lost,
}

impl Feed {
    /// Makes the group unless it is there, and takes a place in it.
    pub(super) async fn join(
        core: Arc<Core>,
        topic: &str,
        group: &str,
        shared: Arc<Shared<Tag>>,
    ) -> Result<(Self, Place), BrokerError> {
        let feed = Self { core, topic: topic.to_owned(), group: group.to_owned(), shared };
        let session = Session::open(&feed.core).await?;
        let place = feed.open(session).await?;
        feed.core.count_group(&feed.topic, &feed.group, 1);
        Ok((feed, place))
    }

    async fn open(&self, session: Session) -> Result<Place, BrokerError> {
        let opened = answered(async {
            let (core, topic, group) = (&self.core, &self.topic, &self.group);
            let control = session.confirming().await?;
            self.declare(&session, &control).await?;
            self.members(&control).await?;
            let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
            let presence = control.basic_consume(core.names.members(topic, group), "".into(), options, arguments);
            let presence = presence.await.map_err(unavailable)?;
            let (owned, events) = (BTreeMap::new(), SelectAll::new());
            Ok(Place { session, control, presence, owned, events })
        });
        let mut place = opened.await?;
        answered(self.balance(&mut place)).await?;
        Ok(place)
    }

    /// Makes everything that the group needs; most of the time it is there.
    async fn declare(&self, session: &Session, control: &Channel) -> Result<(), BrokerError> {
        let Self { core, topic, group, .. } = self;
        topology::topic(session, control, &core.names, topic).await?;
        topology::group(control, &core.names, topic, group, core.config.partitions.get()).await
    }

    /// Works until `leaving` is cancelled, with as many connections as that takes.
    pub(super) async fn run(self, place: Place, leaving: CancellationToken) {
        let (mut place, mut failures, mut refused) = (Some(place), 0, Overdue::default());
        loop {
            if let Some(mut place) = place.take() {
                failures = 0;
                let end = self.work(&mut place, &leaving).await;
                if matches!(end, End::Leaving) {
                    self.shared.end();
                }
                self.drop_place(place).await;
            }
            if leaving.is_cancelled() {
                break;
            }
            failures += 1;
            tokio::select! {
                () = leaving.cancelled() => break,
                () = tokio::time::sleep(backoff(failures)) => {}
            }
            tokio::select! {
                () = leaving.cancelled() => break,
                opened = self.open_again(&mut refused) => place = opened,
            }
        }
        self.shared.end();
        self.core.count_group(&self.topic, &self.group, -1);
    }

    /// The subscriber hears of it when there is a connection and the place cannot be taken for long.
    async fn open_again(&self, refused: &mut Overdue) -> Option<Place> {
        let Ok(session) = Session::open(&self.core).await else {
            refused.clear();
            return None;
        };
        match self.open(session).await {
            Ok(place) => {
                refused.clear();
                Some(place)
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, group = self.group, "place is not taken");
                if refused.failed(REFUSED) {
                    self.shared.trouble(error);
                }
                None
            }
        }
    }

    /// The server gives what is here to the next member, in order.
    async fn drop_place(&self, place: Place) {
        for &partition in place.owned.keys() {
            self.shared.shut(partition);
            self.shared.forget(partition);
        }
        place.session.close().await;
    }

    async fn work(&self, place: &mut Place, leaving: &CancellationToken) -> End {
        let mut balance = interval(self.core.config.balance);
        let mut look = interval(LOOK);
        let mut upkeep = interval_at(Instant::now() + topology::UPKEEP, topology::UPKEEP);
        loop {
            let done = tokio::select! {
                biased;
                () = leaving.cancelled() => return End::Leaving,
                _ = balance.tick() => answered(self.balance(place)).await,
                _ = look.tick(), if place.owned.values().any(|owned| owned.leaving) => {
                    answered(self.give_up_settled(place)).await
                }
                _ = upkeep.tick() => answered(self.declare(&place.session, &place.control)).await,
                // Others no longer count this member.
                _ended = place.presence.next() => Err(unavailable("the queue of the members is gone")),
                Some(incoming) = place.events.next() => self.take_in(place, incoming).await,
            };
            let channels_are_open = place.owned.values().all(|owned| owned.channel.status().connected());
            if let Err(error) = done {
                tracing::debug!(error = &error as &dyn std::error::Error, group = self.group, "connection is given up");
                return End::Lost;
            }
            if !place.session.is_open() || !place.control.status().connected() || !channels_are_open {
                return End::Lost;
            }
        }
    }

    /// What comes late, of a partition that was given up, is with the server again.
    async fn take_in(&self, place: &mut Place, incoming: Incoming) -> Result<(), BrokerError> {
        let Incoming { partition, channel, event } = incoming;
        if place.owned.get(&partition).is_some_and(|owned| owned.channel.id() == channel) {
            self.arrive(partition, event?).await;
        }
        Ok(())
    }

    async fn arrive(&self, partition: u16, delivery: Delivery) {
        let attempt = wire::attempt(&delivery.properties);
        let handle = Tag { core: Arc::clone(&self.core), acker: Arc::new(delivery.acker) };
        match wire::event(&self.topic, &delivery.properties, delivery.data) {
            Ok(event) => self.shared.arrive(Arrival { event, attempt, partition, position: None, handle }),
            Err(error) => {
                // The dead-letter exchange has it then, for people to look at; it would be no better the next time.
                let _lost = handle.acker.nack(BasicNackOptions::default()).await;
                self.shared.trouble(BrokerError::Corrupt(error.into()));
            }
        }
    }

    /// How many members there are; makes the queue that counts them.
    async fn members(&self, control: &Channel) -> Result<usize, BrokerError> {
        let (name, options) = (self.core.names.members(&self.topic, &self.group), QueueDeclareOptions::durable());
        let queue = control.queue_declare(name, options.auto_delete(), FieldTable::default()).await;
        usize::try_from(queue.map_err(unavailable)?.consumer_count()).map_err(unavailable)
    }

    /// Takes partitions that no one has, or gives some up, to have a fair part.
    async fn balance(&self, place: &mut Place) -> Result<(), BrokerError> {
        let partitions = self.core.config.partitions.get();
        let quota = quota(partitions, self.members(&place.control).await?);
        let staying: Vec<_> = place.owned.iter().filter(|(_, owned)| !owned.leaving).map(|(&place, _)| place).collect();
        for partition in staying.iter().skip(quota) {
            self.shared.shut(*partition);
            if let Some(owned) = place.owned.get_mut(partition) {
                owned.leaving = true;
            }
        }
        for partition in 0..partitions {
            if place.owned.len() >= quota {
                break;
            }
            if !place.owned.contains_key(&partition) && self.is_free(&place.control, partition).await? {
                self.take(place, partition).await?;
            }
        }
        Ok(())
    }

    /// Whether no one reads a partition.
    async fn is_free(&self, control: &Channel, partition: u16) -> Result<bool, BrokerError> {
        let queue = self.core.names.queue(&self.topic, &self.group, partition);
        let options = QueueDeclareOptions::durable().passive();
        let queue = control.queue_declare(queue, options, FieldTable::default()).await.map_err(unavailable)?;
        Ok(queue.consumer_count() == 0)
    }

    /// Takes a partition, unless another was quicker.
    async fn take(&self, place: &mut Place, partition: u16) -> Result<(), BrokerError> {
        let channel = place.session.channel().await?;
        let lock = self.core.names.lock(&self.topic, &self.group, partition);
        let locked = channel.queue_declare(lock, QueueDeclareOptions::exclusive(), FieldTable::default()).await;
        if let Err(error) = locked {
            return if place.session.is_open() { Ok(()) } else { Err(unavailable(error)) };
        }
        channel.basic_qos(self.core.config.buffer.get(), BasicQosOptions::default()).await.map_err(unavailable)?;
        let queue = self.core.names.queue(&self.topic, &self.group, partition);
        let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
        let events = channel.basic_consume(queue, "".into(), options, arguments).await.map_err(unavailable)?;
        self.shared.open(partition);
        let id = channel.id();
        // The server ends it when the queue goes, and says so no other way.
        let end = futures_util::stream::iter([Err(unavailable("the server ended the reading"))]);
        let events = events.map(|event| event.map_err(unavailable)).chain(end);
        place.events.push(events.map(move |event| Incoming { partition, channel: id, event }).boxed());
        place.owned.insert(partition, Owned { channel, leaving: false });
        Ok(())
    }

    /// Gives up what is on its way out and settled.
    async fn give_up_settled(&self, place: &mut Place) -> Result<(), BrokerError> {
        let is_settled = |partition: &u16, owned: &mut Owned| owned.leaving && !self.shared.is_out(*partition);
        for (partition, owned) in place.owned.extract_if(.., is_settled) {
            // The server has back what is here when the channel is closed.
            close_channel(&owned.channel).await;
            self.shared.forget(partition);
            let lock = self.core.names.lock(&self.topic, &self.group, partition);
            place.control.queue_delete(lock, QueueDeleteOptions::default()).await.map_err(unavailable)?;
        }
        Ok(())
    }
}
