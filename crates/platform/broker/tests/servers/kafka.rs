//! A Kafka broker on topics of its own, which go away with it.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;

use async_trait::async_trait;
use kennel_broker::Broker as _;
use kennel_broker::kafka::{KafkaBroker, KafkaConfig, KafkaDeadLetters};
use kennel_core::{DeadLetter, DeadLetters as _, IdSource as _, SystemClock, UuidV7};
use kennel_testkit::Backend;
use kennel_testkit::conformance::broker::Letters;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

/// How many events a subscription holds in these tests.
pub(crate) const IN_FLIGHT: usize = 16;

/// A cluster and a topic in it that no one else uses. Topics with that name, and with something behind it, are deleted
/// in the end.
pub(crate) struct Cluster {
    pub(crate) topic: String,
    pub(crate) brokers: String,
    made: Vec<KafkaBroker>,
}

impl Cluster {
    /// The cluster to test against; `None` when there is none.
    pub(crate) fn find() -> Option<Self> {
        let brokers = Backend::Kafka.address()?;
        let topic = format!("test-{}.events", UuidV7.next().simple());
        Some(Self { topic, brokers, made: Vec::new() })
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

    async fn clear(brokers: &str, topic: &str) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
        let metadata = admin.inner().fetch_metadata(None, std::time::Duration::from_secs(10)).unwrap();
        let names: Vec<_> = metadata.topics().iter().map(rdkafka::metadata::MetadataTopic::name).collect();
        let own: Vec<_> = names.into_iter().filter(|name| name.starts_with(topic)).collect();
        if !own.is_empty() {
            admin.delete_topics(&own, &AdminOptions::new()).await.unwrap();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let (brokers, topic, made) = (self.brokers.clone(), self.topic.clone(), std::mem::take(&mut self.made));
        let clearing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                for broker in made {
                    broker.close().await;
                }
                Self::clear(&brokers, &topic).await;
            });
        });
        clearing.join().unwrap();
    }
}

/// Shows the dead letters of a broker.
pub(crate) struct Shown(pub(crate) KafkaDeadLetters);

#[async_trait]
impl Letters for Shown {
    async fn all(&self) -> Vec<DeadLetter> {
        self.0.list(None, 1_000).await.unwrap()
    }
}
