//! Broadcast subscriptions: they read every partition from where it ended when they began, and leave no trace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{Delivery, Event, Subscription};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::context::{Quiet, report};
use super::error::classify;
use super::offsets::{ends, partitions};
use super::record;
use crate::unheld::Unheld;

/// The longest that a listener does not look whether it is to end.
const POLL: Duration = Duration::from_millis(50);
/// Between two looks at a subscription that has no room.
const PAUSE: Duration = Duration::from_millis(20);

type Heard = Result<Event, BrokerError>;

/// A broadcast subscription. Events that it does not take yet stay in Kafka.
pub(super) struct Listener {
    heard: mpsc::Receiver<Heard>,
    ended: Arc<AtomicBool>,
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
            Ok(consumer) => {
                if set_up.send(Ok(())).is_ok() {
                    self.listen(&consumer, heard);
                }
            }
            Err(error) => {
                let _no_one_waits = set_up.send(Err(error));
            }
        }
        drop(self.alive);
    }

    fn open(&self) -> Result<BaseConsumer<Quiet>, BrokerError> {
        let consumer: BaseConsumer<Quiet> = self.settings.create_with_context(Quiet).map_err(classify)?;
        let mut assignment = TopicPartitionList::new();
        for source in &self.sources {
            for partition in partitions(&consumer, source)? {
                let (_, end) = ends(&consumer, source, partition)?;
                assignment.add_partition_offset(source, partition, Offset::Offset(end)).map_err(classify)?;
            }
        }
        consumer.assign(&assignment).map_err(classify)?;
        Ok(consumer)
    }

    fn listen(&self, consumer: &BaseConsumer<Quiet>, heard: &mpsc::Sender<Heard>) {
        while !self.is_over(heard) {
            match consumer.poll(POLL) {
                Some(Ok(message)) => self.pass(heard, record::read(&self.topic, &message)),
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    return self.pass(heard, Err(classify(error)));
                }
                Some(Err(error)) => report(&error, "kafka listener goes on"),
                None => {}
            }
        }
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
