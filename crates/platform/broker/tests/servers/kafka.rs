//! A Kafka namespace for tests, deleted when it is dropped.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_broker::Broker as _;
use kennel_broker::kafka::{KafkaBroker, KafkaConfig, KafkaDeadLetters};
use kennel_core::{DeadLetter, DeadLetters as _, SystemClock};
use kennel_testkit::broker_namespace::Kafka;
use kennel_testkit::conformance::broker::DeadLetterReader;

/// Maximum number of unsettled deliveries per subscription in these tests.
pub(crate) const IN_FLIGHT: usize = 16;

/// A topic in a namespace of a cluster, and brokers there, which are closed before the namespace is deleted.
pub(crate) struct Cluster {
    pub(crate) topic: String,
    pub(crate) brokers: String,
    opened: Vec<KafkaBroker>,
    _namespace: Option<Kafka>,
}

impl Cluster {
    /// Returns the cluster to test against; `None` when there is none.
    pub(crate) fn find() -> Option<Self> {
        let namespace = Kafka::find()?;
        let (brokers, prefix) = (namespace.brokers().to_owned(), namespace.prefix().to_owned());
        Some(Self::at(&brokers, &prefix, Some(namespace)))
    }

    /// Creates a cluster whose topic names start with `prefix`.
    pub(crate) fn at(brokers: &str, prefix: &str, namespace: Option<Kafka>) -> Self {
        Self {
            topic: format!("{prefix}.events"),
            brokers: brokers.to_owned(),
            opened: Vec::new(),
            _namespace: namespace,
        }
    }

    /// Returns a configuration with short times.
    pub(crate) fn config(&self) -> KafkaConfig {
        let mut config = KafkaConfig::at(&self.brokers);
        config.topics = vec![self.topic.clone()];
        config.kafka_partitions = NonZeroU16::new(3).unwrap();
        config.tuning.session_timeout = Duration::from_secs(6);
        config.tuning.commit_interval = Duration::from_millis(50);
        config
    }

    /// Opens a broker of this cluster, like another process.
    pub(crate) fn broker(&mut self) -> KafkaBroker {
        let config = self.config();
        self.broker_with(&config)
    }

    /// Opens a broker with a given configuration.
    pub(crate) fn broker_with(&mut self, config: &KafkaConfig) -> KafkaBroker {
        let in_flight = NonZeroUsize::new(IN_FLIGHT).unwrap();
        let broker = KafkaBroker::connect(config, in_flight, Arc::new(SystemClock)).unwrap();
        self.opened.push(broker.clone());
        broker
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let opened = std::mem::take(&mut self.opened);
        let closing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                for broker in opened {
                    broker.close().await;
                }
            });
        });
        closing.join().unwrap();
    }
}

/// Lists the dead letters of a broker.
pub(crate) struct DeadLetterList(pub(crate) KafkaDeadLetters);

#[async_trait]
impl DeadLetterReader for DeadLetterList {
    async fn all(&self) -> Vec<DeadLetter> {
        self.0.list(None, 1_000).await.unwrap()
    }
}
