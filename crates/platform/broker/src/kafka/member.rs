//! The thread of a group member: it reads, commits, and handles rebalances.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use kennel_core::broker::BrokerError;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, ClientContext, TopicPartitionList};
use tokio::sync::{mpsc, oneshot};

use super::context::{self, BrokerWatch, ReplacementWatch};
use super::delivery_buffer::DeliveryBuffer;
use super::error::{BrokersLost, TopicRemoved, classify, is_topic_removed};
use super::record;
use super::window::PartitionId;

/// Maximum time between two iterations of a member's loop.
const POLL_TIMEOUT: Duration = Duration::from_millis(50);
/// How long a partition that is read too far ahead has to stay so until it is paused. Until then, nothing is read.
const CAPACITY_TIMEOUT: Duration = Duration::from_millis(100);
/// Time limit of a request whose result is not needed. An expired one closes the connection (see `offsets`), but leaving waits
/// for it.
const WAKE_TIMEOUT: Duration = Duration::from_secs(2);
/// Delay before a member rejoins after a fatal client error or a lost assignment.
const REJOIN_DELAY: Duration = Duration::from_millis(500);

/// The state of a member's thread.
pub(super) struct GroupMember {
    pub(super) buffer: Arc<DeliveryBuffer>,
    pub(super) settings: ClientConfig,
    /// The Kafka topics to read.
    pub(super) sources: Vec<String>,
    pub(super) commit_interval: Duration,
    pub(super) revoke_grace: Duration,
    /// Dropped when the thread ends.
    pub(super) alive: mpsc::Sender<()>,
}

impl GroupMember {
    /// Starts the thread; returns when the client is set up.
    pub(super) async fn start(self) -> Result<(), BrokerError> {
        let (set_up, is_set_up) = oneshot::channel();
        let thread = thread::Builder::new().name("kafka-member".to_owned());
        thread.spawn(move || self.run(set_up)).map_err(|error| BrokerError::Backend(error.into()))?;
        is_set_up.await.map_err(|_| BrokerError::Backend("kafka member ended".into()))?.map_err(classify)
    }

    fn run(self, set_up: oneshot::Sender<KafkaResult<()>>) {
        let mut set_up = Some(set_up);
        while !self.buffer.is_closed() {
            let consumer = self.join();
            let failed = match consumer {
                Ok(consumer) => {
                    if let Some(set_up) = set_up.take() {
                        let _receiver_dropped = set_up.send(Ok(()));
                    }
                    self.drive(&consumer).err()
                }
                Err(error) => match set_up.take() {
                    Some(set_up) => {
                        let _receiver_dropped = set_up.send(Err(error));
                        return;
                    }
                    None => Some(error),
                },
            };
            let left = self.buffer.with_window(|window| window.partition_ids());
            self.buffer.revoke(left);
            if let Some(error) = failed {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, group = self.buffer.group_id, "kafka member rejoins its group");
                thread::sleep(REJOIN_DELAY);
            }
        }
        drop(self.alive);
    }

    fn join(&self) -> KafkaResult<BaseConsumer<RebalanceHandler>> {
        let (buffer, watch, brokers) = (Arc::clone(&self.buffer), ReplacementWatch::default(), BrokerWatch::default());
        let handler = RebalanceHandler { buffer, watch, brokers, grace: self.revoke_grace };
        let consumer: BaseConsumer<RebalanceHandler> = self.settings.create_with_context(handler)?;
        let sources: Vec<_> = self.sources.iter().map(String::as_str).collect();
        consumer.subscribe(&sources)?;
        Ok(consumer)
    }

    /// Runs until the buffer is closed or the client has failed permanently; then commits what is settled.
    fn drive(&self, consumer: &BaseConsumer<RebalanceHandler>) -> KafkaResult<()> {
        let commits = &self.buffer.commits;
        thread::scope(|scope| {
            let _guard = commits.open();
            let committer = thread::Builder::new().name("kafka-committer".to_owned());
            committer
                .spawn_scoped(scope, || commits.serve(&self.buffer, consumer))
                .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
            let outcome = self.read(consumer);
            commits.finish(&self.buffer);
            outcome
        })
    }

    fn read(&self, consumer: &BaseConsumer<RebalanceHandler>) -> KafkaResult<()> {
        let mut committed = Instant::now();
        while !self.buffer.is_closed() {
            match consumer.poll(POLL_TIMEOUT) {
                Some(Ok(message)) => {
                    let id = PartitionId { topic: message.topic().into(), number: message.partition() };
                    self.buffer.push(&id, message.offset(), record::read(&self.buffer.topic, &message));
                    self.buffer.await_capacity(&id, CAPACITY_TIMEOUT);
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(error),
                Some(Err(error)) if is_topic_removed(&error) => self.buffer.topic_missing(),
                Some(Err(error)) => context::report(&error, "kafka member continues after an error"),
                None => {}
            }
            if self.buffer.take_assignment_lost() {
                return Err(KafkaError::Rebalance(RDKafkaErrorCode::AssignmentLost));
            }
            self.update_paused(consumer)?;
            if committed.elapsed() >= self.commit_interval {
                committed = Instant::now();
                self.buffer.commits.request();
            }
        }
        Ok(())
    }

    /// Pauses partitions that are read far ahead, and resumes those with capacity.
    fn update_paused(&self, consumer: &BaseConsumer<RebalanceHandler>) -> KafkaResult<()> {
        let (mark_paused, mark_resumed) =
            self.buffer.with_window(|window| (window.mark_paused(), window.mark_resumed()));
        if !mark_paused.is_empty() {
            consumer.pause(&list(&mark_paused))?;
        }
        if !mark_resumed.is_empty() {
            consumer.resume(&list(&mark_resumed))?;
            // The driver's thread for the leader is asleep, for up to a second; a request wakes it, and then it fetches, too.
            let woken = |id: &PartitionId| consumer.fetch_watermarks(&id.topic, id.number, WAKE_TIMEOUT).is_ok();
            mark_resumed.iter().all(|id| !self.buffer.is_closed() && woken(id));
        }
        Ok(())
    }
}

fn list(partition_ids: &[PartitionId]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partition_ids.len());
    for id in partition_ids {
        list.add_partition(&id.topic, id.number);
    }
    list
}

fn partition_ids(list: &TopicPartitionList) -> Vec<PartitionId> {
    list.elements().iter().map(|id| PartitionId { topic: id.topic().into(), number: id.partition() }).collect()
}

/// Handles rebalances, from the driver's callbacks.
struct RebalanceHandler {
    buffer: Arc<DeliveryBuffer>,
    watch: ReplacementWatch,
    brokers: BrokerWatch,
    grace: Duration,
}

impl ClientContext for RebalanceHandler {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if self.watch.read(message) {
            self.buffer.fail(TopicRemoved);
        }
        context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        context::report(&error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.brokers.read(statistics);
        // The subscription ends, and does not rejoin here: a commit under way can block this thread for minutes.
        if self.brokers.is_lost() {
            self.buffer.fail(BrokersLost);
        }
    }
}

impl ConsumerContext for RebalanceHandler {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => self.buffer.assign(partition_ids(list)),
            Rebalance::Revoke(list) => {
                let partition_ids = partition_ids(list);
                tracing::debug!(
                    group = self.buffer.group_id,
                    partitions = partition_ids.len(),
                    "kafka revokes partitions"
                );
                // After other members may have them, settled events cannot be committed any more.
                if consumer.assignment_lost() {
                    self.buffer.assignment_lost();
                } else {
                    self.buffer.drain(&partition_ids, self.grace);
                    self.buffer.commits.finish(&self.buffer);
                }
                self.buffer.revoke(partition_ids);
            }
            Rebalance::Error(error) => context::report(error, "rebalance failed"),
        }
    }
}
