//! Broadcast subscriptions: they read every partition from where it ended when they began, and leave no trace.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{Delivery, Event, Subscription};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::TOPICS_REFRESH;
use super::context::{Watching, report};
use super::error::{Removed, classify, is_removed};
use super::offsets::{ends, is_replaced, partitions};
use super::record;
use super::window::Part;
use crate::unheld::Unheld;

/// The longest that a listener does not look whether it is to end.
const POLL: Duration = Duration::from_millis(50);
/// Between two looks at a subscription that has no room.
const PAUSE: Duration = Duration::from_millis(20);
/// Between two looks whether a cluster that was unreachable is back.
const RETURN_POLL: Duration = Duration::from_millis(500);

type Heard = Result<Event, BrokerError>;

/// A broadcast subscription. Events that it does not take yet stay in Kafka.
pub(super) struct Listener {
    heard: mpsc::Receiver<Heard>,
    ended: Arc<AtomicBool>,
}

/// A client, and the offset of each partition that it reads next.
struct Reader {
    consumer: BaseConsumer<Watching>,
    positions: HashMap<Part, i64>,
}

impl Reader {
    fn assign(consumer: BaseConsumer<Watching>, positions: HashMap<Part, i64>) -> KafkaResult<Self> {
        let mut assignment = TopicPartitionList::with_capacity(positions.len());
        for (part, next) in &positions {
            assignment.add_partition_offset(&part.topic, part.number, Offset::Offset(*next))?;
        }
        consumer.assign(&assignment)?;
        Ok(Self { consumer, positions })
    }

    fn positions(&self) -> Vec<(Part, i64)> {
        self.positions.iter().map(|(part, next)| (part.clone(), *next)).collect()
    }
}

/// What a listener's thread needs.
pub(super) struct Ear {
    pub(super) topic: String,
    pub(super) settings: ClientConfig,
    /// The topics in Kafka to read.
    pub(super) sources: Vec<String>,
    /// Set when it is to end.
    pub(super) ended: Arc<AtomicBool>,
    /// Dropped when the thread ends.
    pub(super) alive: mpsc::Sender<()>,
}

impl Ear {
    /// Starts the thread; returns once it is clear what is new from now on.
    pub(super) async fn start(self, buffer: usize) -> Result<Listener, BrokerError> {
        let (sender, heard) = mpsc::channel(buffer);
        let listener = Listener { heard, ended: Arc::clone(&self.ended) };
        let (set_up, is_set_up) = oneshot::channel();
        let thread = thread::Builder::new().name("kafka-listener".to_owned());
        thread.spawn(move || self.run(set_up, &sender)).map_err(|error| BrokerError::Backend(error.into()))?;
        is_set_up.await.map_err(|_| BrokerError::Backend("kafka listener has ended".into()))??;
        Ok(listener)
    }

    fn run(self, set_up: oneshot::Sender<Result<(), BrokerError>>, heard: &mpsc::Sender<Heard>) {
        match self.open() {
            Ok(reader) => {
                if set_up.send(Ok(())).is_ok()
                    && let Err(error) = self.listen(reader, heard)
                {
                    self.pass(heard, Err(error));
                }
            }
            Err(error) => {
                let _no_one_waits = set_up.send(Err(error));
            }
        }
        drop(self.alive);
    }

    /// Reads from where each partition ends.
    fn open(&self) -> Result<Reader, BrokerError> {
        let consumer = self.settings.create_with_context(Watching::default()).map_err(classify)?;
        let mut positions = HashMap::new();
        for source in &self.sources {
            for number in partitions(&consumer, source)? {
                let (_, end) = ends(&consumer, source, number)?;
                positions.insert(Part { topic: source.as_str().into(), number }, end);
            }
        }
        Reader::assign(consumer, positions).map_err(classify)
    }

    /// Passes on what is published until no one listens; fails when the topics are not those any more.
    fn listen(&self, mut reader: Reader, heard: &mpsc::Sender<Heard>) -> Result<(), BrokerError> {
        let (mut looked, mut was_cut_off) = (Instant::now(), false);
        while !self.is_over(heard) {
            match reader.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    let part = Part { topic: message.topic().into(), number: message.partition() };
                    reader.positions.insert(part, message.offset() + 1);
                    self.pass(heard, record::read(&self.topic, &message));
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(classify(error)),
                Some(Err(error)) if is_removed(&error) => return Err(Removed.into()),
                Some(Err(error)) => {
                    was_cut_off |= error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
                    report(&error, "kafka listener goes on");
                }
                None => {}
            }
            if reader.consumer.context().has_noticed() {
                return Err(Removed.into());
            }
            if looked.elapsed() < if was_cut_off { RETURN_POLL } else { TOPICS_REFRESH } {
                continue;
            }
            match is_replaced(&reader.consumer, &reader.positions()) {
                Ok(true) => return Err(Removed.into()),
                // The cluster may have lost its data: a client would not take in that leaders are older than it knows.
                Ok(false) if was_cut_off => {
                    let consumer = self.settings.create_with_context(Watching::default()).map_err(classify)?;
                    reader = Reader::assign(consumer, reader.positions).map_err(classify)?;
                    was_cut_off = false;
                }
                Err(error) if is_removed(&error) => return Err(Removed.into()),
                Ok(false) | Err(_) => {}
            }
            looked = Instant::now();
        }
        Ok(())
    }

    fn is_over(&self, heard: &mpsc::Sender<Heard>) -> bool {
        self.ended.load(Ordering::Acquire) || heard.is_closed()
    }

    fn pass(&self, heard: &mpsc::Sender<Heard>, mut event: Heard) {
        while let Err(TrySendError::Full(back)) = heard.try_send(event) {
            if self.is_over(heard) {
                return;
            }
            event = back;
            thread::sleep(PAUSE);
        }
    }
}

#[async_trait]
impl Subscription for Listener {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        let heard = self.heard.recv().await.filter(|_| !self.ended.load(Ordering::Acquire))?;
        Some(heard.map(|event| Delivery::new(event, 1, Box::new(Unheld))))
    }
}
