//! What comes from a partition, and how it is settled.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::datetime::DateTime;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use async_nats::jetstream::{AckKind, ErrorCode};
use async_nats::{Subject, Subscriber};
use async_trait::async_trait;
use futures_util::StreamExt as _;
use kennel_core::DeadLetter;
use kennel_core::broker::BrokerError;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{ANSWER, Core, Names, backoff, unavailable, wire};
use crate::group::{Arrival, Handle, Overdue, Shared};

/// How long the server keeps a request for events.
const REQUEST: Duration = Duration::from_secs(3);
/// How long what was under way may take to come when a partition is given up.
const REST: Duration = Duration::from_secs(1);

/// Settles a message.
#[derive(Clone)]
pub(super) struct Reply {
    core: Arc<Core>,
    subject: Subject,
}

impl Reply {
    /// Tells the server without waiting for its answer.
    pub(super) async fn tell(&self, what: AckKind) -> Result<(), BrokerError> {
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

/// The durable consumer of a group's partition; created unless it is there, and so is the topic.
pub(super) async fn consumer(
    core: &Core,
    topic: &str,
    group: &str,
    partition: u16,
) -> Result<PullConsumer, BrokerError> {
    match create_consumer(core, topic, group, partition).await? {
        Err(error) if is_without_stream(&error) => {
            core.forget_topic(topic);
            core.topic(topic).await?;
            create_consumer(core, topic, group, partition).await?.map_err(unavailable)
        }
        created => created.map_err(unavailable),
    }
}

fn is_without_stream(error: &ConsumerError) -> bool {
    matches!(error.kind(), ConsumerErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// All settings are ones that version 2.9 knows; an older server passes over what it does not know.
async fn create_consumer(
    core: &Core,
    topic: &str,
    group: &str,
    partition: u16,
) -> Result<Result<PullConsumer, ConsumerError>, BrokerError> {
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
    Ok(stream.create_consumer(config).await)
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

/// Where a member's events of a partition come from, and where they go.
pub(super) struct Source {
    pub(super) core: Arc<Core>,
    pub(super) topic: String,
    pub(super) group: String,
    pub(super) partition: u16,
    /// When the member before has lost it for certain.
    pub(super) settled: Instant,
    pub(super) shared: Arc<Shared<Reply>>,
}

/// Fetches the events of a partition.
struct Pull {
    source: Source,
    consumer: PullConsumer,
    /// When the consumer was created.
    created: DateTime,
    gate: Option<Gate>,
    /// Whether the consumer may be gone, or another one have its name.
    suspect: bool,
    failing: Overdue,
}

/// A consumer as it was found.
struct Opened {
    consumer: PullConsumer,
    created: DateTime,
    gate: Gate,
    /// Whether it has ever delivered anything.
    is_used: bool,
}

impl Source {
    /// Fetches what comes from a partition that was just taken, which is shut until it may be handed out. Goes on until
    /// `stop` is cancelled, and then takes in what was under way.
    pub(super) async fn fetch(self, stop: CancellationToken) {
        let (mut failures, mut failing) = (0, Overdue::default());
        let Opened { consumer, created, gate, .. } = loop {
            let opened = tokio::select! {
                () = stop.cancelled() => return,
                opened = self.open() => opened,
            };
            let wait = match opened {
                Ok(opened) if opened.is_used && self.settled > Instant::now() => self.settled,
                Ok(opened) => break opened,
                Err(error) => {
                    failures += 1;
                    self.report(&mut failing, error);
                    Instant::now() + backoff(failures)
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(wait) => {}
            }
        };
        Pull { source: self, consumer, created, gate: Some(gate), suspect: false, failing }.run(stop).await;
    }

    async fn open(&self) -> Result<Opened, BrokerError> {
        let consumer = consumer(&self.core, &self.topic, &self.group, self.partition).await?;
        let info = consumer.get_info().await.map_err(unavailable)?;
        let gate = Gate { last: info.delivered.stream_sequence, left: info.num_ack_pending, ..Gate::default() };
        Ok(Opened { consumer, created: info.created, gate, is_used: info.delivered.consumer_sequence > 0 })
    }

    /// The subscriber hears of what has gone wrong for as long as a lease though there is a connection.
    fn report(&self, failing: &mut Overdue, error: BrokerError) {
        if self.core.client.connection_state() != State::Connected {
            failing.clear();
        } else if failing.failed(self.core.config.lease) {
            self.shared.trouble(error);
        }
    }
}

impl Pull {
    async fn run(mut self, stop: CancellationToken) {
        let inbox = Subject::from(self.source.core.client.new_inbox());
        // Fails only once the client has ended.
        let Ok(mut events) = self.source.core.client.subscribe(inbox.clone()).await else { return };
        self.open_if_complete();
        let mut failures = 0;
        loop {
            let fetched = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                fetched = self.fetch(&mut events, &inbox) => fetched,
            };
            if let Err(error) = fetched {
                failures += 1;
                self.source.report(&mut self.failing, error);
            } else {
                failures = 0;
                self.failing.clear();
            }
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
        if self.suspect {
            self.look_anew().await?;
        }
        self.suspect = true;
        let batch = self.source.core.config.buffer.get();
        let request = pull::BatchConfig { batch, expires: Some(REQUEST), ..pull::BatchConfig::default() };
        self.consumer.request_batch(request, inbox.clone()).await.map_err(unavailable)?;
        let deadline = Instant::now() + REQUEST + REST;
        for _ in 0..batch {
            // The server ends a request in time; one that it does not end, it no longer knows.
            let Ok(next) = tokio::time::timeout_at(deadline, events.next()).await else {
                return self.look_anew().await;
            };
            let message = next.ok_or_else(|| unavailable("subscription has ended"))?;
            match message.status.map(|status| status.as_u16()) {
                None => self.arrive(message).await,
                // No events came until the request ran out.
                Some(404 | 408) => break,
                Some(_) => return Err(unavailable(message.description.unwrap_or_default())),
            }
        }
        self.suspect = false;
        self.look_again().await
    }

    /// Opens the consumer again. What is here of one that was lost is forgotten: its numbers mean other events to the new
    /// one, which delivers again what its stream still has.
    async fn look_anew(&mut self) -> Result<(), BrokerError> {
        let Opened { consumer, created, gate, .. } = self.source.open().await?;
        self.consumer = consumer;
        if created != self.created {
            self.created = created;
            let Source { shared, partition, topic, group, .. } = &self.source;
            tracing::debug!(topic, group, partition, "consumer was lost and created again");
            shared.forget(*partition);
            shared.shut(*partition);
            self.gate = Some(gate);
            self.open_if_complete();
        }
        Ok(())
    }

    async fn arrive(&mut self, message: async_nats::Message) {
        let Some(subject) = message.reply.clone() else { return };
        let reply = Reply { core: Arc::clone(&self.source.core), subject };
        let jetstream = self.source.core.jetstream.clone();
        let message = async_nats::jetstream::Message { message, context: jetstream };
        let place = message.info().map(|info| (info.stream_sequence, info.delivered)).map_err(BrokerError::Corrupt);
        let headers = message.message.headers.clone().unwrap_or_default();
        let event = wire::event(&self.source.topic, &headers, message.message.payload.clone());
        let event = event.map_err(|error| BrokerError::Corrupt(error.into()));
        match place.and_then(|place| Ok((place, event?))) {
            Ok(((place, delivered), event)) => {
                let attempt = u32::try_from(delivered).unwrap_or(u32::MAX);
                let (partition, position, handle) = (self.source.partition, Some(place), reply);
                self.source.shared.arrive(Arrival { event, attempt, partition, position, handle });
                if let Some(gate) = &mut self.gate {
                    gate.arrived(place);
                }
            }
            Err(error) => {
                // It stays in the stream, for people to look at; it would be no better the next time.
                let _gone = reply.tell(AckKind::Term).await;
                self.source.shared.trouble(error);
            }
        }
        self.open_if_complete();
    }

    fn open_if_complete(&mut self) {
        if self.gate.take_if(|gate| gate.is_complete()).is_some() {
            self.source.shared.open(self.source.partition);
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
