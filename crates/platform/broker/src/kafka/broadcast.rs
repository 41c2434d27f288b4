//! Broadcast subscriptions: they read every partition from its end, without a group.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{Delivery, Event, EventFilter, Subscription};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::TOPICS_REFRESH;
use super::context::{ReplacementWatch, report};
use super::error::{TopicRemoved, classify, is_topic_removed};
use super::offsets::{ends, is_replaced, partitions};
use super::record;
use super::window::PartitionId;
use crate::delivery::NoopAck;

/// Maximum time between two checks whether the subscription has ended.
const POLL_TIMEOUT: Duration = Duration::from_millis(50);
/// Interval between attempts to add an event to a full buffer.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);
/// Interval between checks whether an unreachable cluster responds again.
const RECONNECT_CHECK_INTERVAL: Duration = Duration::from_millis(500);

type Received = Result<Event, BrokerError>;

/// A broadcast subscription. Events that do not fit its buffer remain in Kafka.
pub(super) struct BroadcastSubscription {
    received: mpsc::Receiver<Received>,
    ended: Arc<AtomicBool>,
}

/// A client, and the next offset of each partition.
struct PositionedConsumer {
    consumer: BaseConsumer<ReplacementWatch>,
    positions: HashMap<PartitionId, i64>,
}

impl PositionedConsumer {
    fn assign(consumer: BaseConsumer<ReplacementWatch>, positions: HashMap<PartitionId, i64>) -> KafkaResult<Self> {
        let mut assignment = TopicPartitionList::with_capacity(positions.len());
        for (id, next) in &positions {
            assignment.add_partition_offset(&id.topic, id.number, Offset::Offset(*next))?;
        }
        consumer.assign(&assignment)?;
        Ok(Self { consumer, positions })
    }

    fn positions(&self) -> Vec<(PartitionId, i64)> {
        self.positions.iter().map(|(id, next)| (id.clone(), *next)).collect()
    }
}

/// The state of a subscription's thread.
pub(super) struct BroadcastReader {
    pub(super) topic: String,
    pub(super) filter: EventFilter,
    pub(super) settings: ClientConfig,
    /// The Kafka topics to read.
    pub(super) sources: Vec<String>,
    /// Set to end the thread.
    pub(super) ended: Arc<AtomicBool>,
    /// Dropped when the thread ends.
    pub(super) alive: mpsc::Sender<()>,
}

impl BroadcastReader {
    /// Starts the thread; returns when the start offsets are known.
    pub(super) async fn start(self, buffer: usize) -> Result<BroadcastSubscription, BrokerError> {
        let (sender, received) = mpsc::channel(buffer);
        let subscription = BroadcastSubscription { received, ended: Arc::clone(&self.ended) };
        let (set_up, is_set_up) = oneshot::channel();
        let thread = thread::Builder::new().name("kafka-broadcast".to_owned());
        thread.spawn(move || self.run(set_up, &sender)).map_err(|error| BrokerError::Backend(error.into()))?;
        is_set_up.await.map_err(|_| BrokerError::Backend("kafka broadcast subscription ended".into()))??;
        Ok(subscription)
    }

    fn run(self, set_up: oneshot::Sender<Result<(), BrokerError>>, received: &mpsc::Sender<Received>) {
        match self.open() {
            Ok(consumer) => {
                if set_up.send(Ok(())).is_ok()
                    && let Err(error) = self.read(consumer, received)
                {
                    self.forward(received, Err(error));
                }
            }
            Err(error) => {
                let _receiver_dropped = set_up.send(Err(error));
            }
        }
        drop(self.alive);
    }

    /// Opens a consumer at the end of each partition.
    fn open(&self) -> Result<PositionedConsumer, BrokerError> {
        let consumer = self.settings.create_with_context(ReplacementWatch::default()).map_err(classify)?;
        let mut positions = HashMap::new();
        for source in &self.sources {
            for number in partitions(&consumer, source)? {
                let (_, end) = ends(&consumer, source, number)?;
                positions.insert(PartitionId { topic: source.as_str().into(), number }, end);
            }
        }
        PositionedConsumer::assign(consumer, positions).map_err(classify)
    }

    /// Forwards events until the subscription is dropped; fails when a topic was deleted or replaced.
    fn read(&self, mut consumer: PositionedConsumer, received: &mpsc::Sender<Received>) -> Result<(), BrokerError> {
        let (mut checked, mut was_disconnected) = (Instant::now(), false);
        while !self.is_over(received) {
            match consumer.consumer.poll(POLL_TIMEOUT) {
                Some(Ok(message)) => {
                    let id = PartitionId { topic: message.topic().into(), number: message.partition() };
                    consumer.positions.insert(id, message.offset() + 1);
                    let event = record::read(&self.topic, &message);
                    if event.as_ref().map_or(true, |event| self.filter.includes(event)) {
                        self.forward(received, event);
                    }
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(classify(error)),
                Some(Err(error)) if is_topic_removed(&error) => return Err(TopicRemoved.into()),
                Some(Err(error)) => {
                    was_disconnected |= error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
                    report(&error, "kafka broadcast subscription continues after an error");
                }
                None => {}
            }
            if consumer.consumer.context().is_replaced() {
                return Err(TopicRemoved.into());
            }
            if checked.elapsed() < if was_disconnected { RECONNECT_CHECK_INTERVAL } else { TOPICS_REFRESH } {
                continue;
            }
            match is_replaced(&consumer.consumer, &consumer.positions()) {
                Ok(true) => return Err(TopicRemoved.into()),
                // The cluster may have lost its data: the old client would reject leaders that are older than those it
                // knows.
                Ok(false) if was_disconnected => {
                    let client = self.settings.create_with_context(ReplacementWatch::default()).map_err(classify)?;
                    consumer = PositionedConsumer::assign(client, consumer.positions).map_err(classify)?;
                    was_disconnected = false;
                }
                Err(error) if is_topic_removed(&error) => return Err(TopicRemoved.into()),
                Ok(false) => {}
                // A client that lost its only connection before it was up does not report that all brokers are down.
                Err(_) => was_disconnected = true,
            }
            checked = Instant::now();
        }
        Ok(())
    }

    fn is_over(&self, received: &mpsc::Sender<Received>) -> bool {
        self.ended.load(Ordering::Acquire) || received.is_closed()
    }

    fn forward(&self, received: &mpsc::Sender<Received>, mut event: Received) {
        while let Err(TrySendError::Full(back)) = received.try_send(event) {
            if self.is_over(received) {
                return;
            }
            event = back;
            thread::sleep(RETRY_INTERVAL);
        }
    }
}

#[async_trait]
impl Subscription for BroadcastSubscription {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        let received = self.received.recv().await.filter(|_| !self.ended.load(Ordering::Acquire))?;
        Some(received.map(|event| Delivery::new(event, 1, Box::new(NoopAck))))
    }
}
