//! Receives the messages of a partition and settles them.

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
use futures_util::future::BoxFuture;
use kennel_core::broker::BrokerError;
use kennel_core::{DeadLetter, EventFilter};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{Core, Names, RECONNECT_BACKOFF, REQUEST_TIMEOUT, unavailable, wire};
use crate::group::{DeliveryBuffer, FailureTimer, MessageHandle, Received};

/// Expiry of a pull request at the server.
const PULL_EXPIRES: Duration = Duration::from_secs(3);
/// Time limit to receive messages in transit when a partition is released.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Settles a message through its reply subject.
#[derive(Clone)]
pub(super) struct NatsHandle {
    core: Arc<Core>,
    subject: Subject,
}

impl NatsHandle {
    /// Sends an acknowledgement without waiting for a confirmation.
    pub(super) async fn send(&self, kind: AckKind) -> Result<(), BrokerError> {
        let sending = self.core.client.publish(self.subject.clone(), kind.into());
        timeout(REQUEST_TIMEOUT, sending).await.map_err(unavailable)?.map_err(unavailable)
    }
}

#[async_trait]
impl MessageHandle for NatsHandle {
    async fn ack(&self) -> Result<(), BrokerError> {
        self.core.client.request(self.subject.clone(), AckKind::Ack.into()).await.map_err(unavailable)?;
        Ok(())
    }

    fn nack(&self, delay: Duration) -> Option<BoxFuture<'static, Result<(), BrokerError>>> {
        let handle = self.clone();
        Some(Box::pin(async move { handle.send(AckKind::Nak(Some(delay).filter(|delay| !delay.is_zero()))).await }))
    }

    async fn dead_letter(&self, dead_letter: &DeadLetter) -> Result<(), BrokerError> {
        self.core.store_dead_letter(dead_letter).await
    }
}

/// Acknowledges excluded events. One whose acknowledgement is lost is redelivered, and acknowledged again.
async fn acknowledge(excluded: impl IntoIterator<Item = NatsHandle>) {
    for handle in excluded {
        if handle.send(AckKind::Ack).await.is_err() {
            return;
        }
    }
}

/// Returns the durable consumer of a group's partition; creates it, and the topic, if they do not exist.
pub(super) async fn consumer(
    core: &Core,
    topic: &str,
    group: &str,
    partition: u16,
) -> Result<PullConsumer, BrokerError> {
    match create_consumer(core, topic, group, partition).await? {
        Err(error) if is_without_stream(&error) => {
            core.mark_topic_lost(topic);
            create_consumer(core, topic, group, partition).await?.map_err(unavailable)
        }
        created => created.map_err(unavailable),
    }
}

fn is_without_stream(error: &ConsumerError) -> bool {
    matches!(error.kind(), ConsumerErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// Version 2.9 knows all these settings; an older server ignores those that it does not know.
async fn create_consumer(
    core: &Core,
    topic: &str,
    group: &str,
    partition: u16,
) -> Result<Result<PullConsumer, ConsumerError>, BrokerError> {
    let stream = core.jetstream.get_stream_no_info(core.topic(topic).await?).await.map_err(unavailable)?;
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

/// Delays the events of a partition until everything that the previous member left unsettled has been received.
#[derive(Default)]
struct TakeoverGate {
    /// The last sequence number that was delivered before.
    last_delivered: u64,
    /// Number of those events that were unsettled.
    unsettled: usize,
    before: BTreeSet<u64>,
    after: BTreeSet<u64>,
    /// Excluded events, to acknowledge when this opens: until then, the number of unsettled events at the server must
    /// include them.
    excluded: Vec<NatsHandle>,
}

impl TakeoverGate {
    fn add(&mut self, sequence: u64) {
        if sequence <= self.last_delivered {
            self.before.insert(sequence)
        } else {
            self.after.insert(sequence)
        };
    }

    fn is_complete(&self) -> bool {
        self.before.len() >= self.unsettled
    }
}

/// A member's source of the events of one partition.
pub(super) struct PartitionSource {
    pub(super) core: Arc<Core>,
    pub(super) topic: String,
    pub(super) group: String,
    pub(super) filter: EventFilter,
    pub(super) partition: u16,
    /// When the lease of the previous member has certainly expired.
    pub(super) takeover_at: Instant,
    pub(super) buffer: Arc<DeliveryBuffer<NatsHandle>>,
}

/// Receives the events of a partition.
struct PartitionPull {
    source: PartitionSource,
    consumer: PullConsumer,
    /// Creation time of the consumer.
    created: DateTime,
    gate: Option<TakeoverGate>,
    /// Cancelled when the partition is released.
    stop: CancellationToken,
    /// Whether the consumer may have been deleted or replaced.
    is_suspect: bool,
    failure_timer: FailureTimer,
}

/// A consumer and its state when it was opened.
struct OpenedConsumer {
    consumer: PullConsumer,
    created: DateTime,
    gate: TakeoverGate,
    /// Whether it has delivered anything yet.
    is_used: bool,
}

impl PartitionSource {
    /// Receives from a newly taken partition, which is paused until its events may be delivered. Runs until `stop` is
    /// cancelled, and then receives the messages in transit.
    pub(super) async fn fetch(self, stop: CancellationToken) {
        let (mut failures, mut failure_timer) = (0, FailureTimer::default());
        let OpenedConsumer { consumer, created, gate, .. } = loop {
            let opened = tokio::select! {
                () = stop.cancelled() => return,
                opened = self.open() => opened,
            };
            let wait = match opened {
                Ok(opened) if opened.is_used && self.takeover_at > Instant::now() => self.takeover_at,
                Ok(opened) => break opened,
                Err(error) => {
                    failures += 1;
                    self.report(&mut failure_timer, error);
                    Instant::now() + RECONNECT_BACKOFF.delay(failures)
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(wait) => {}
            }
        };
        PartitionPull { source: self, consumer, created, gate: Some(gate), stop, is_suspect: false, failure_timer }
            .run()
            .await;
    }

    async fn open(&self) -> Result<OpenedConsumer, BrokerError> {
        let consumer = consumer(&self.core, &self.topic, &self.group, self.partition).await?;
        let info = consumer.get_info().await.map_err(unavailable)?;
        let gate = TakeoverGate {
            last_delivered: info.delivered.stream_sequence,
            unsettled: info.num_ack_pending,
            ..TakeoverGate::default()
        };
        Ok(OpenedConsumer { consumer, created: info.created, gate, is_used: info.delivered.consumer_sequence > 0 })
    }

    /// Reports failures to the subscriber after they have lasted as long as a lease while connected.
    fn report(&self, failure_timer: &mut FailureTimer, error: BrokerError) {
        if self.core.client.connection_state() != State::Connected {
            failure_timer.clear();
        } else if failure_timer.failed(self.core.config.lease) {
            self.buffer.report_error(error);
        }
    }
}

impl PartitionPull {
    async fn run(mut self) {
        let stop = self.stop.clone();
        let inbox = Subject::from(self.source.core.client.new_inbox());
        // Fails only after the client has been closed.
        let Ok(mut events) = self.source.core.client.subscribe(inbox.clone()).await else { return };
        self.resume_if_complete().await;
        let mut failures = 0;
        loop {
            let fetched = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                fetched = self.fetch(&mut events, &inbox) => fetched,
            };
            if let Err(error) = fetched {
                failures += 1;
                self.source.report(&mut self.failure_timer, error);
            } else {
                failures = 0;
                self.failure_timer.clear();
            }
            if failures > 0 {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(RECONNECT_BACKOFF.delay(failures)) => {}
                }
            }
        }
        if events.drain().await.is_ok() {
            while let Ok(Some(message)) = timeout(DRAIN_TIMEOUT, events.next()).await {
                self.receive(message).await;
            }
        }
        if let Some(gate) = self.gate.take() {
            acknowledge(gate.excluded).await;
        }
    }

    /// Requests a batch of events and receives them.
    async fn fetch(&mut self, events: &mut Subscriber, inbox: &Subject) -> Result<(), BrokerError> {
        if self.is_suspect {
            self.reopen().await?;
        }
        self.is_suspect = true;
        let batch = self.source.core.config.buffer.get();
        let request = pull::BatchConfig { batch, expires: Some(PULL_EXPIRES), ..pull::BatchConfig::default() };
        self.consumer.request_batch(request, inbox.clone()).await.map_err(unavailable)?;
        let deadline = Instant::now() + PULL_EXPIRES + DRAIN_TIMEOUT;
        for _ in 0..batch {
            // The server ends every request that it knows within its expiry.
            let Ok(next) = tokio::time::timeout_at(deadline, events.next()).await else {
                return self.reopen().await;
            };
            let message = next.ok_or_else(|| unavailable("subscription ended"))?;
            match message.status.map(|status| status.as_u16()) {
                None => self.receive(message).await,
                // The request expired.
                Some(404 | 408) => break,
                Some(_) => return Err(unavailable(message.description.unwrap_or_default())),
            }
        }
        self.is_suspect = false;
        self.refresh_gate().await
    }

    /// Opens the consumer again. If it was lost, all received events are dropped: the new consumer numbers events
    /// differently, and redelivers what its stream still has.
    async fn reopen(&mut self) -> Result<(), BrokerError> {
        let OpenedConsumer { consumer, created, gate, .. } = self.source.open().await?;
        self.consumer = consumer;
        if created != self.created {
            self.created = created;
            let PartitionSource { buffer, partition, topic, group, .. } = &self.source;
            tracing::debug!(topic, group, partition, "consumer was lost and created again");
            buffer.remove_partition(*partition);
            buffer.pause(*partition);
            self.gate = Some(gate);
            self.resume_if_complete().await;
        }
        Ok(())
    }

    async fn receive(&mut self, message: async_nats::Message) {
        let Some(subject) = message.reply.clone() else { return };
        let handle = NatsHandle { core: Arc::clone(&self.source.core), subject };
        let jetstream = self.source.core.jetstream.clone();
        let message = async_nats::jetstream::Message { message, context: jetstream };
        let sequence = message.info().map(|info| (info.stream_sequence, info.delivered)).map_err(BrokerError::Corrupt);
        let headers = message.message.headers.clone().unwrap_or_default();
        let event = wire::event(&self.source.topic, &headers, message.message.payload.clone());
        let event = event.map_err(|error| BrokerError::Corrupt(error.into()));
        match sequence.and_then(|sequence| Ok((sequence, event?))) {
            Ok(((sequence, delivered), event)) => {
                if let Some(gate) = &mut self.gate {
                    gate.add(sequence);
                }
                if self.source.filter.includes(&event) {
                    let attempt = u32::try_from(delivered).unwrap_or(u32::MAX);
                    let (partition, position) = (self.source.partition, Some(sequence));
                    self.source.buffer.push(Received { event: event.into(), attempt, partition, position, handle });
                } else if self.stop.is_cancelled() {
                    // It belongs to the next member, whose filter may be another one.
                    let _unconfirmed = handle.send(AckKind::Nak(None)).await;
                } else if let Some(gate) = &mut self.gate {
                    gate.excluded.push(handle);
                } else {
                    acknowledge([handle]).await;
                }
            }
            Err(error) => {
                // It remains in the stream for inspection; a redelivery would not help.
                let _unconfirmed = handle.send(AckKind::Term).await;
                self.source.buffer.report_error(error);
            }
        }
        self.resume_if_complete().await;
    }

    async fn resume_if_complete(&mut self) {
        if let Some(gate) = self.gate.take_if(|gate| gate.is_complete()) {
            self.source.buffer.resume(self.source.partition);
            acknowledge(gate.excluded).await;
        }
    }

    /// Some of the previous member's events may have been settled since.
    async fn refresh_gate(&mut self) -> Result<(), BrokerError> {
        if let Some(gate) = &mut self.gate {
            let info = self.consumer.get_info().await.map_err(unavailable)?;
            gate.unsettled = gate.unsettled.min(info.num_ack_pending.saturating_sub(gate.after.len()));
            self.resume_if_complete().await;
        }
        Ok(())
    }
}
