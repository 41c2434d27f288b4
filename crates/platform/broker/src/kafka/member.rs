//! The thread of a member of a group: it reads, commits and gives partitions up when the group divides them anew.

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

use super::context;
use super::error::{Removed, classify, is_removed};
use super::post::Post;
use super::record;
use super::window::Part;

/// The longest that a member does not look at what is to be done.
const POLL: Duration = Duration::from_millis(50);
/// Before a member whose client has failed for good, or has lost its place in the group, gets another one.
const RESTART: Duration = Duration::from_millis(500);

/// What a member's thread needs.
pub(super) struct Member {
    pub(super) post: Arc<Post>,
    pub(super) settings: ClientConfig,
    /// The topics in Kafka to read.
    pub(super) sources: Vec<String>,
    pub(super) commit_interval: Duration,
    pub(super) revoke_grace: Duration,
    /// Dropped when the thread ends.
    pub(super) alive: mpsc::Sender<()>,
}

impl Member {
    /// Starts the thread; returns once the client is set up.
    pub(super) async fn start(self) -> Result<(), BrokerError> {
        let (set_up, is_set_up) = oneshot::channel();
        let thread = thread::Builder::new().name("kafka-member".to_owned());
        thread.spawn(move || self.run(set_up)).map_err(|error| BrokerError::Backend(error.into()))?;
        is_set_up.await.map_err(|_| BrokerError::Backend("kafka member has ended".into()))?.map_err(classify)
    }

    fn run(self, set_up: oneshot::Sender<KafkaResult<()>>) {
        let mut set_up = Some(set_up);
        while !self.post.is_closed() {
            let consumer = self.join();
            let failed = match consumer {
                Ok(consumer) => {
                    if let Some(set_up) = set_up.take() {
                        let _no_one_waits = set_up.send(Ok(()));
                    }
                    self.drive(&consumer).err()
                }
                Err(error) => match set_up.take() {
                    Some(set_up) => {
                        let _no_one_waits = set_up.send(Err(error));
                        return;
                    }
                    None => Some(error),
                },
            };
            let left = self.post.with_window(|window| window.parts());
            self.post.revoke(left);
            if let Some(error) = failed {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, group = self.post.group_id, "kafka member joins its group again");
                thread::sleep(RESTART);
            }
        }
        drop(self.alive);
    }

    fn join(&self) -> KafkaResult<BaseConsumer<Division>> {
        let division = Division { post: Arc::clone(&self.post), grace: self.revoke_grace };
        let consumer: BaseConsumer<Division> = self.settings.create_with_context(division)?;
        let sources: Vec<_> = self.sources.iter().map(String::as_str).collect();
        consumer.subscribe(&sources)?;
        Ok(consumer)
    }

    /// Works until the post is closed, or the client has failed for good; commits what is settled then.
    fn drive(&self, consumer: &BaseConsumer<Division>) -> KafkaResult<()> {
        let commits = &self.post.commits;
        thread::scope(|scope| {
            let _serving = commits.open();
            let committer = thread::Builder::new().name("kafka-committer".to_owned());
            committer
                .spawn_scoped(scope, || commits.serve(&self.post, consumer))
                .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
            let outcome = self.read(consumer);
            commits.finish(&self.post);
            outcome
        })
    }

    fn read(&self, consumer: &BaseConsumer<Division>) -> KafkaResult<()> {
        let mut committed = Instant::now();
        while !self.post.is_closed() {
            match consumer.poll(POLL) {
                Some(Ok(message)) => {
                    let part = Part { topic: message.topic().into(), number: message.partition() };
                    self.post.admit(&part, message.offset(), record::read(&self.post.topic, &message));
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(error),
                Some(Err(error)) if is_removed(&error) => self.post.miss(),
                Some(Err(error)) => context::report(&error, "kafka member goes on"),
                None => {}
            }
            if self.post.has_lost_all() {
                return Err(KafkaError::Rebalance(RDKafkaErrorCode::AssignmentLost));
            }
            self.steer(consumer)?;
            if committed.elapsed() >= self.commit_interval {
                committed = Instant::now();
                self.post.commits.want();
            }
        }
        Ok(())
    }

    /// Reads no more of partitions that are read far ahead, until there is room again.
    fn steer(&self, consumer: &BaseConsumer<Division>) -> KafkaResult<()> {
        let (crowded, roomy) = self.post.with_window(|window| (window.crowded(), window.roomy()));
        if !crowded.is_empty() {
            consumer.pause(&list(&crowded))?;
        }
        if !roomy.is_empty() {
            consumer.resume(&list(&roomy))?;
        }
        Ok(())
    }
}

fn list(parts: &[Part]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(parts.len());
    for part in parts {
        list.add_partition(&part.topic, part.number);
    }
    list
}

fn parts(list: &TopicPartitionList) -> Vec<Part> {
    list.elements().iter().map(|part| Part { topic: part.topic().into(), number: part.partition() }).collect()
}

/// How a group's partitions are divided among its members, as one of them sees it.
struct Division {
    post: Arc<Post>,
    grace: Duration,
}

impl ClientContext for Division {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if context::is_replacement(message) {
            self.post.fail(Removed);
        }
        context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        context::report(&error, reason);
    }
}

impl ConsumerContext for Division {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => self.post.assign(parts(list)),
            Rebalance::Revoke(list) => {
                let parts = parts(list);
                tracing::debug!(group = self.post.group_id, partitions = parts.len(), "kafka takes partitions away");
                // Once others may have them, what is settled here cannot be committed any more.
                if consumer.assignment_lost() {
                    self.post.lose_all();
                } else {
                    self.post.drain(&parts, self.grace);
                    self.post.commits.finish(&self.post);
                }
                self.post.revoke(parts);
            }
            Rebalance::Error(error) => context::report(error, "partitions are not divided"),
        }
    }
}
