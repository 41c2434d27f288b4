//! A corner of a Kafka cluster.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::metadata::MetadataTopic;

use super::{clear, prefix};
use crate::Backend;

/// How long the cluster may take to tell what it has.
const PATIENCE: Duration = Duration::from_secs(5);

/// Topics and groups with a prefix of their own.
pub struct Kafka {
    brokers: String,
    prefix: String,
}

impl Kafka {
    /// One in the cluster of `TEST_KAFKA_BROKERS`; `None` when there is no such cluster.
    pub fn find() -> Option<Self> {
        Some(Self { brokers: Backend::Kafka.address()?, prefix: prefix() })
    }

    /// Where the cluster is.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// What names begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    async fn remove(&self) -> Result<(), String> {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", &self.brokers);
        let admin: AdminClient<DefaultClientContext> = settings.create().map_err(|error| error.to_string())?;
        let metadata = admin.inner().fetch_metadata(None, PATIENCE).map_err(|error| error.to_string())?;
        let names = metadata.topics().iter().map(MetadataTopic::name);
        let own: Vec<_> = names.filter(|name| name.starts_with(&self.prefix)).collect();
        if !own.is_empty() {
            admin.delete_topics(&own, &AdminOptions::new()).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        clear(&self.prefix, self.remove());
    }
}
