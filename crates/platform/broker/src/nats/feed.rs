//! A member's work in the background: its part of the partitions, and what comes from them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::{Subject, Subscriber};
use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::future::{join_all, try_join_all};
use kennel_core::DeadLetter;
use kennel_core::broker::BrokerError;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::leases::{Lease, Leases};
use super::{ANSWER, Core, Names, backoff, unavailable, wire};
use crate::group::{Arrival, Handle, Shared, quota};

/// How long the server keeps a request for events.
const REQUEST: Duration = Duration::from_secs(3);
/// How long what was under way may take to come when a partition is given up.
const REST: Duration = Duration::from_secs(1);
/// How often a partition that is given up is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Settles a message.
#[derive(Clone)]
pub(super) struct Reply {
    core: Arc<Core>,
    subject: Subject,
}

impl Reply {
    /// Tells the server without waiting for its answer.
    async fn tell(&self, what: AckKind) -> Result<(), BrokerError> {
        let telling = self.core.client.publish(self.subject.clone(), what.into());
        timeout(ANSWER, telling).await.map_err(unavailable)?.map_err(unavailable)
    }
}

#[async_trait]
impl Handle for Reply {
    async fn ack(&self) -> Result<(), BrokerError> {
        self.core.client.request(self.subject.clone(), AckKind::Ack.into()).await.map_err(unavailable)?;
        Ok(())
    }

    async fn again(&self, delay: Duration) -> Result<Option<Duration>, BrokerError> {
        self.tell(AckKind::Nak(Some(delay).filter(|delay| !delay.is_zero()))).await?;
        Ok(None)
    }

    async fn bury(&self, letter: &DeadLetter) -> Result<(), BrokerError> {
        self.core.bury(letter).await
    }
}

/// A partition that this member has.
struct Owned {
    lease: Lease,
    stop: CancellationToken,
    pulling: JoinHandle<()>,
    /// Given up as soon as nothing of it is out.
    leaving: bool,
}

/// See the [module](self).
pub(super) struct Feed {
    core: Arc<Core>,
    topic: String,
    group: String,
    shared: Arc<Shared<Reply>>,
    leases: Leases,
    bell: Subscriber,
    owned: BTreeMap<u16, Owned>,
}

impl Feed {
    /// Makes the group unless it is there, and takes a place in it.
    pub(super) async fn join(
        core: Arc<Core>,
        topic: &str,
        group: &str,
        shared: Arc<Shared<Reply>>,
    ) -> Result<Self, BrokerError> {
        core.groups_stream().await?;
        try_join_all((0..core.config.partitions.get()).map(|partition| consumer(&core, topic, group, partition)))
            .await?;
        let leases = Leases::new(Arc::clone(&core), topic, group);
        let bell = leases.bell().await?;
        leases.show().await?;
        leases.ring().await?;
        core.count_group(topic, group, 1);
        let (topic, group) = (topic.to_owned(), group.to_owned());
        let mut feed = Self { core, topic, group, shared, leases, bell, owned: BTreeMap::new() };
        feed.balance().await?;
        Ok(feed)
    }

    /// Works until `leaving` is cancelled, then hands back what is left.
    pub(super) async fn run(mut self, leaving: CancellationToken) {
        let mut renewal = interval(self.core.config.lease / 3);
        let mut progress = interval(self.core.config.ack_wait / 3);
        let mut look = interval(LOOK);
        loop {
            tokio::select! {
                biased;
                () = leaving.cancelled() => break,
                _ = renewal.tick() => self.renew().await,
                _ = progress.tick() => self.progress().await,
                _ = look.tick(), if self.owned.values().any(|owned| owned.leaving) => self.give_up_settled().await,
                Some(_) = self.bell.next() => self.balance_or_later().await,
            }
        }
        self.shared.end();
        // What cannot be handed back now comes again when its time with the server is over.
        let _late = timeout(ANSWER, self.leave()).await;
        self.core.count_group(&self.topic, &self.group, -1);
    }

    /// Tells the server that what is here is being worked on.
    async fn progress(&self) {
        for reply in self.shared.here() {
            if self.core.client.connection_state() != State::Connected || reply.tell(AckKind::Progress).await.is_err() {
                return;
            }
        }
    }

    async fn renew(&mut self) {
        let (leases, patience) = (&self.leases, self.core.config.lease / 4);
        let renewing = self.owned.iter().map(|(&partition, owned)| async move {
            let renewed = timeout(patience, leases.renew(partition, owned.lease)).await;
            (partition, renewed.unwrap_or_else(|late| Err(unavailable(late))))
        });
        for (partition, renewed) in join_all(renewing).await {
            let Some(owned) = self.owned.get_mut(&partition) else { continue };
            match renewed {
                Ok(Some(lease)) => owned.lease = lease,
                Ok(None) => self.lose(partition),
                Err(_) if owned.lease.is_over() => self.lose(partition),
                Err(_) => {}
            }
        }
        self.balance_or_later().await;
    }

    /// Another may have the partition by now.
    fn lose(&mut self, partition: u16) {
        if let Some(owned) = self.owned.remove(&partition) {
            owned.stop.cancel();
        }
        self.shared.shut(partition);
        self.shared.forget(partition);
    }

    /// A server that does not answer is asked again at the next renewal.
    async fn balance_or_later(&mut self) {
        let sharing = async {
            self.leases.show().await?;
            self.balance().await
        };
        if let Ok(Err(error)) | Err(error) = timeout(ANSWER, sharing).await.map_err(unavailable) {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                group = self.group,
                "partitions are not shared out"
            );
        }
    }

    /// Takes partitions that no one has, or gives some up, to have a fair part.
    async fn balance(&mut self) -> Result<(), BrokerError> {
        let view = self.leases.look().await?;
        let partitions = self.core.config.partitions.get();
        let quota = quota(partitions, view.members);
        let staying: Vec<_> = self.owned.iter().filter(|(_, owned)| !owned.leaving).map(|(&place, _)| place).collect();
        for &partition in staying.iter().skip(quota) {
            self.shared.shut(partition);
            if let Some(owned) = self.owned.get_mut(&partition) {
                owned.leaving = true;
            }
        }
        for partition in (0..partitions).filter(|partition| !view.taken.contains(partition)) {
            if self.owned.len() >= quota {
                break;
            }
            if !self.owned.contains_key(&partition)
                && let Some(lease) = self.leases.take(partition).await?
            {
                self.start(partition, lease).await?;
            }
        }
        Ok(())
    }

    async fn start(&mut self, partition: u16, lease: Lease) -> Result<(), BrokerError> {
        self.shared.shut(partition);
        let consumer = consumer(&self.core, &self.topic, &self.group, partition).await?;
        let info = consumer.get_info().await.map_err(unavailable)?;
        let gate = Gate { last: info.delivered.stream_sequence, left: info.num_ack_pending, ..Gate::default() };
        let (core, shared, stop) = (Arc::clone(&self.core), Arc::clone(&self.shared), CancellationToken::new());
        let (topic, group) = (self.topic.clone(), self.group.clone());
        let pull = Pull { core, topic, group, partition, consumer, shared, gate: Some(gate) };
        let pulling = self.core.tasks.spawn(pull.run(stop.clone()));
        self.owned.insert(partition, Owned { lease, stop, pulling, leaving: false });
        Ok(())
    }

    /// Gives up what is on its way out and settled.
    async fn give_up_settled(&mut self) {
        let settled = |(partition, owned): (&u16, &Owned)| {
            (owned.leaving && !self.shared.is_out(*partition)).then_some(*partition)
        };
        let settled: Vec<_> = self.owned.iter().filter_map(settled).collect();
        if settled.is_empty() {
            return;
        }
        if let Err(error) = self.give_up(&settled, false).await {
            tracing::debug!(error = &error as &dyn std::error::Error, group = self.group, "partitions go without word");
        }
    }

    async fn leave(&mut self) -> Result<(), BrokerError> {
        let all: Vec<_> = self.owned.keys().copied().collect();
        self.give_up(&all, true).await
    }

    /// Hands back what is here of some partitions, and then the partitions.
    async fn give_up(&mut self, partitions: &[u16], leaving: bool) -> Result<(), BrokerError> {
        let given_up: Vec<_> = partitions.iter().filter_map(|partition| self.owned.remove(partition)).collect();
        for (partition, owned) in partitions.iter().zip(&given_up) {
            self.shared.shut(*partition);
            owned.stop.cancel();
        }
        let mut leases = Vec::with_capacity(given_up.len());
        for owned in given_up {
            // It has no way to fail that would matter here.
            let _ended = owned.pulling.await;
            leases.push(owned.lease);
        }
        for partition in partitions {
            for reply in self.shared.forget(*partition) {
                reply.again(Duration::ZERO).await?;
            }
        }
        self.leases.give_up(&leases, leaving).await
    }
}

/// The durable consumer of a group's partition.
async fn consumer(core: &Core, topic: &str, group: &str, partition: u16) -> Result<PullConsumer, BrokerError> {
    let stream = core.jetstream.get_stream_no_info(core.names.topic_stream(topic)).await.map_err(unavailable)?;
    let config = pull::Config {
        durable_name: Some(Names::consumer(group, partition)),
        filter_subject: core.names.partition_subject(topic, partition),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: core.config.ack_wait,
        max_ack_pending: i64::try_from(core.config.buffer.get()).unwrap_or(i64::MAX),
        max_deliver: -1,
        ..pull::Config::default()
    };
    stream.create_consumer(config).await.map_err(unavailable)
}

/// Holds a partition's events back until all that the member before left unsettled is here.
#[derive(Default)]
struct Gate {
    /// The last place that was ever delivered before.
    last: u64,
    /// How much of it was unsettled.
    left: usize,
    old: BTreeSet<u64>,
    new: BTreeSet<u64>,
}

impl Gate {
    fn arrived(&mut self, place: u64) {
        if place <= self.last {
            self.old.insert(place)
        } else {
            self.new.insert(place)
        };
    }

    fn is_complete(&self) -> bool {
        self.old.len() >= self.left
    }
}

/// Fetches the events of a partition.
struct Pull {
    core: Arc<Core>,
    topic: String,
    group: String,
    partition: u16,
    consumer: PullConsumer,
    shared: Arc<Shared<Reply>>,
    gate: Option<Gate>,
}

impl Pull {
    async fn run(mut self, stop: CancellationToken) {
        let inbox = Subject::from(self.core.client.new_inbox());
        // Fails only once the client has ended.
        let Ok(mut events) = self.core.client.subscribe(inbox.clone()).await else { return };
        self.open_if_complete();
        let mut failures = 0;
        loop {
            let fetched = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                fetched = self.fetch(&mut events, &inbox) => fetched,
            };
            failures = if fetched.is_ok() { 0 } else { failures + 1 };
            if failures > 0 {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(backoff(failures)) => {}
                }
            }
        }
        if events.drain().await.is_ok() {
            while let Ok(Some(message)) = timeout(REST, events.next()).await {
                self.arrive(message).await;
            }
        }
    }

    /// Asks for events and takes in those that come.
    async fn fetch(&mut self, events: &mut Subscriber, inbox: &Subject) -> Result<(), BrokerError> {
        let batch = self.core.config.buffer.get();
        let request = pull::BatchConfig { batch, expires: Some(REQUEST), ..pull::BatchConfig::default() };
        self.consumer.request_batch(request, inbox.clone()).await.map_err(unavailable)?;
        let deadline = Instant::now() + REQUEST + REST;
        for _ in 0..batch {
            let Ok(next) = tokio::time::timeout_at(deadline, events.next()).await else { break };
            let message = next.ok_or_else(|| unavailable("subscription has ended"))?;
            match message.status.map(|status| status.as_u16()) {
                None => self.arrive(message).await,
                // No events came until the request ran out.
                Some(404 | 408) => break,
                Some(_) => {
                    let reason = message.description.unwrap_or_default();
                    self.mend().await?;
                    return Err(unavailable(reason));
                }
            }
        }
        self.look_again().await
    }

    /// Makes the consumer again, should it be gone.
    async fn mend(&mut self) -> Result<(), BrokerError> {
        self.consumer = consumer(&self.core, &self.topic, &self.group, self.partition).await?;
        Ok(())
    }

    async fn arrive(&mut self, message: async_nats::Message) {
        let Some(subject) = message.reply.clone() else { return };
        let reply = Reply { core: Arc::clone(&self.core), subject };
        let jetstream = self.core.jetstream.clone();
        let message = async_nats::jetstream::Message { message, context: jetstream };
        let place = message.info().map(|info| (info.stream_sequence, info.delivered)).map_err(BrokerError::Corrupt);
        let headers = message.message.headers.clone().unwrap_or_default();
        let event = wire::event(&self.topic, &headers, message.message.payload.clone());
        let event = event.map_err(|error| BrokerError::Corrupt(error.into()));
        match place.and_then(|place| Ok((place, event?))) {
            Ok(((place, delivered), event)) => {
                let attempt = u32::try_from(delivered).unwrap_or(u32::MAX);
                let (partition, position, handle) = (self.partition, Some(place), reply);
                self.shared.arrive(Arrival { event, attempt, partition, position, handle });
                if let Some(gate) = &mut self.gate {
                    gate.arrived(place);
                }
            }
            Err(error) => {
                // It stays in the stream, for people to look at; it would be no better the next time.
                let _gone = reply.tell(AckKind::Term).await;
                self.shared.trouble(error);
            }
        }
        self.open_if_complete();
    }

    fn open_if_complete(&mut self) {
        if self.gate.take_if(|gate| gate.is_complete()).is_some() {
            self.shared.open(self.partition);
        }
    }

    /// Some of what was left may have been settled since.
    async fn look_again(&mut self) -> Result<(), BrokerError> {
        if let Some(gate) = &mut self.gate {
            let info = self.consumer.get_info().await.map_err(unavailable)?;
            gate.left = gate.left.min(info.num_ack_pending.saturating_sub(gate.new.len()));
            self.open_if_complete();
        }
        Ok(())
    }
}
