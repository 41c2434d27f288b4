//! Broadcast subscriptions: they read every partition from its end, without a group.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{Backoff, Delivery, Event, EventFilter, Subscription};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::TOPICS_REFRESH;
use super::context::{ReplacementWatch, report};
use super::error::{TopicRemoved, classify, is_topic_removed};
use super::offsets::{ends, partitions, unread};
use super::record;
use super::window::PartitionId;
use crate::delivery::NoopAck;

/// Maximum time between two checks whether the subscription has ended.
const POLL_TIMEOUT: Duration = Duration::from_millis(50);
/// Interval between attempts to add an event to a full buffer.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);
/// Interval between checks whether an unreachable cluster responds again.
const RECONNECT_CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// After this time, a client that has not reached the cluster is replaced by another one.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// Delays until a client that receives nothing is replaced again at the same position.
const STALL_BACKOFF: Backoff = Backoff::new(Duration::from_secs(30), Duration::from_mins(10));

type Received = Result<Event, BrokerError>;

/// A broadcast subscription. Events that do not fit its buffer remain in Kafka.
pub(super) struct BroadcastSubscription {
    received: mpsc::Receiver<Received>,
    ended: Arc<AtomicBool>,
}

type Client = BaseConsumer<ReplacementWatch>;

/// A client, and the next offset of each partition.
struct PositionedConsumer {
    consumer: Client,
    positions: HashMap<PartitionId, i64>,
}

impl PositionedConsumer {
    fn assign(consumer: Client, positions: HashMap<PartitionId, i64>) -> KafkaResult<Self> {
        assign(&consumer, &positions)?;
        Ok(Self { consumer, positions })
    }

    /// Continues with another client, which has reached the cluster.
    fn replace(&mut self, successor: Client) -> KafkaResult<()> {
        // What it met before it reached the cluster.
        while successor.poll(Duration::ZERO).is_some() {}
        assign(&successor, &self.positions)?;
        let old = std::mem::replace(&mut self.consumer, successor);
        // Waits for its threads. If there is no thread for that, it is dropped here.
        thread::Builder::new().spawn(move || drop(old)).ok();
        Ok(())
    }
}

fn assign(consumer: &Client, positions: &HashMap<PartitionId, i64>) -> KafkaResult<()> {
    let mut assignment = TopicPartitionList::with_capacity(positions.len());
    for (id, next) in positions {
        assignment.add_partition_offset(&id.topic, id.number, Offset::Offset(*next))?;
    }
    consumer.assign(&assignment)
}

/// A client that will replace the one of a subscription when it reaches the cluster.
///
/// The cluster may have lost its data: the old client would reject leaders that are older than those it knows. And reading
/// continues without it, whatever has happened to its connections.
struct Successor {
    consumer: Client,
    created: Instant,
}

/// What the checks of a subscription have found.
struct Checks {
    /// When the last one ended.
    at: Instant,
    /// Whether something was received since.
    has_received: bool,
    successor: Option<Successor>,
    /// Where the cluster had more.
    behind: HashMap<PartitionId, i64>,
    /// Where a client was replaced for that.
    stalled: HashMap<PartitionId, i64>,
    /// How often it was replaced there.
    replacements: u32,
    /// When it may be replaced there again. Records of transactions, which no client returns, count as more, too: so each
    /// further client waits longer.
    next_replacement: Instant,
}

impl Checks {
    fn new() -> Self {
        let (now, behind, stalled) = (Instant::now(), HashMap::new(), HashMap::new());
        let (at, next_replacement) = (now, now);
        Self { at, has_received: false, successor: None, behind, stalled, replacements: 0, next_replacement }
    }

    fn are_due(&self) -> bool {
        // A check delays what other leaders deliver.
        let is_silent = self.successor.is_some() && !self.has_received;
        self.at.elapsed() >= if is_silent { RECONNECT_CHECK_INTERVAL } else { TOPICS_REFRESH }
    }

    /// Records where the cluster has more than what was read; returns whether the client has to be replaced because a
    /// partition is where it was at the last check.
    fn are_stalled(&mut self, unread: HashMap<PartitionId, i64>, now: Instant) -> bool {
        let is_at = |at: &HashMap<_, _>, (id, next)| at.get(id) == Some(next);
        let is_new = unread.iter().any(|each| is_at(&self.behind, each) && !is_at(&self.stalled, each));
        let is_behind = unread.iter().any(|each| is_at(&self.behind, each));
        let is_stalled = is_new || (is_behind && now >= self.next_replacement);
        if is_stalled {
            self.stalled.clone_from(&unread);
            self.replacements = if is_new { 1 } else { self.replacements.saturating_add(1) };
            self.next_replacement = now + STALL_BACKOFF.delay(self.replacements);
        }
        self.behind = unread;
        is_stalled
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
    fn read(&self, mut current: PositionedConsumer, received: &mpsc::Sender<Received>) -> Result<(), BrokerError> {
        let mut checks = Checks::new();
        while !self.is_over(received) {
            match current.consumer.poll(POLL_TIMEOUT) {
                Some(Ok(message)) => {
                    let id = PartitionId { topic: message.topic().into(), number: message.partition() };
                    current.positions.insert(id, message.offset() + 1);
                    checks.has_received = true;
                    let event = record::read(&self.topic, &message);
                    if event.as_ref().map_or(true, |event| self.filter.includes(event)) {
                        self.forward(received, event);
                    }
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(classify(error)),
                Some(Err(error)) if is_topic_removed(&error) => return Err(TopicRemoved.into()),
                Some(Err(error)) => {
                    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown)
                        && checks.successor.is_none()
                    {
                        checks.successor = Some(self.successor(&current)?);
                    }
                    report(&error, "kafka broadcast subscription continues after an error");
                }
                None => {}
            }
            if current.consumer.context().is_replaced() {
                return Err(TopicRemoved.into());
            }
            if checks.are_due() {
                self.check(&mut checks, &mut current)?;
            }
        }
        Ok(())
    }

    /// Checks that the topics are still the same, and replaces a client that has lost the cluster or receives nothing.
    fn check(&self, checks: &mut Checks, current: &mut PositionedConsumer) -> Result<(), BrokerError> {
        let client = checks.successor.as_ref().map_or(&current.consumer, |successor| &successor.consumer);
        match unread(client, current.positions.clone()) {
            Ok(None) => return Err(TopicRemoved.into()),
            Err(error) if is_topic_removed(&error) => return Err(TopicRemoved.into()),
            Ok(Some(unread)) => {
                let is_stalled = checks.are_stalled(unread, Instant::now());
                if let Some(successor) = checks.successor.take() {
                    current.replace(successor.consumer).map_err(classify)?;
                } else if is_stalled {
                    tracing::warn!(topic = self.topic, "kafka client receives nothing, and is replaced");
                    checks.successor = Some(self.successor(current)?);
                }
            }
            // A client that lost its only connection before it was up does not report that all brokers are down.
            Err(_) if checks.successor.as_ref().is_none_or(|of| of.created.elapsed() > CONNECT_LIMIT) => {
                checks.successor = Some(self.successor(current)?);
            }
            Err(_) => {}
        }
        (checks.has_received, checks.at) = (false, Instant::now());
        Ok(())
    }

    fn successor(&self, current: &PositionedConsumer) -> Result<Successor, BrokerError> {
        let watch = ReplacementWatch::clone(current.consumer.context());
        let consumer = self.settings.create_with_context(watch).map_err(classify)?;
        Ok(Successor { consumer, created: Instant::now() })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at<const N: usize>(positions: [(i32, i64); N]) -> HashMap<PartitionId, i64> {
        positions.map(|(number, next)| (PartitionId { topic: "dogs".into(), number }, next)).into()
    }

    #[test]
    fn a_partition_that_stays_behind_replaces_the_client_again_and_again() {
        let mut checks = Checks::new();
        let start = checks.at;
        let mut after = |seconds, unread| checks.are_stalled(unread, start + Duration::from_secs(seconds));
        assert!(!after(0, at([(0, 7), (1, 1)])));
        assert!(after(5, at([(0, 7), (1, 2)])), "one of them is where it was");
        assert!(!after(10, at([(0, 7), (1, 3)])), "the other client has just begun");
        let is_replaced: Vec<u64> = (3..60).map(|n| n * 5).filter(|&seconds| after(seconds, at([(0, 7)]))).collect();
        assert!(is_replaced.len() > 1, "{is_replaced:?}");
        let waits: Vec<u64> = is_replaced.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(is_replaced[0] >= 20 && waits.is_sorted() && waits[0] > 20, "each waits longer: {is_replaced:?}");
        assert!(!after(400, at([])));
        assert!(!after(405, at([(0, 9)])));
        assert!(after(410, at([(0, 9)])), "at another position at once");
    }
}
