//! A Kafka broker on topics of its own, which go away with it.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;

use async_trait::async_trait;
use kennel_broker::Broker as _;
use kennel_broker::kafka::{KafkaBroker, KafkaConfig, KafkaDeadLetters};
use kennel_core::{DeadLetter, DeadLetters as _, SystemClock};
use kennel_testkit::broker_namespace::Kafka;
use kennel_testkit::conformance::broker::DeadLetterReader;

/// How many events a subscription holds in these tests.
pub(crate) const IN_FLIGHT: usize = 16;

/// A topic in a corner of a cluster, and brokers there, which are closed before the corner goes away.
pub(crate) struct Cluster {
    pub(crate) topic: String,
    pub(crate) brokers: String,
    made: Vec<KafkaBroker>,
    _corner: Option<Kafka>,
}

impl Cluster {
    /// The cluster to test against; `None` when there is none.
    pub(crate) fn find() -> Option<Self> {
        let corner = Kafka::find()?;
        let (brokers, prefix) = (corner.brokers().to_owned(), corner.prefix().to_owned());
        Some(Self::at(&brokers, &prefix, Some(corner)))
    }

    /// A cluster where the names of topics begin with `prefix`.
    pub(crate) fn at(brokers: &str, prefix: &str, corner: Option<Kafka>) -> Self {
        Self { topic: format!("{prefix}.events"), brokers: brokers.to_owned(), made: Vec::new(), _corner: corner }
    }

    /// Settings that let tests be quick.
    pub(crate) fn config(&self) -> KafkaConfig {
        let mut config = KafkaConfig::at(&self.brokers);
        config.topics = vec![self.topic.clone()];
        config.tuning.partitions = NonZeroU16::new(3).unwrap();
        config.tuning.session_timeout_ms = 6_000;
        config.tuning.commit_interval_ms = 50;
        config
    }

    /// A broker of this cluster, as another process would have it.
    pub(crate) fn broker(&mut self) -> KafkaBroker {
        let config = self.config();
        self.broker_with(&config)
    }

    /// A broker with settings of its own.
    pub(crate) fn broker_with(&mut self, config: &KafkaConfig) -> KafkaBroker {
        let in_flight = NonZeroUsize::new(IN_FLIGHT).unwrap();
        let broker = KafkaBroker::connect(config, in_flight, Arc::new(SystemClock)).unwrap();
        self.made.push(broker.clone());
        broker
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let made = std::mem::take(&mut self.made);
        let closing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                for broker in made {
                    broker.close().await;
                }
            });
        });
        closing.join().unwrap();
    }
}

/// Shows the dead letters of a broker.
pub(crate) struct Shown(pub(crate) KafkaDeadLetters);

#[async_trait]
impl DeadLetterReader for Shown {
    async fn all(&self) -> Vec<DeadLetter> {
        self.0.list(None, 1_000).await.unwrap()
    }
}
