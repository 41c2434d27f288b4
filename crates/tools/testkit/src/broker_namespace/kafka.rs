//! A namespace in a Kafka cluster.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::metadata::MetadataTopic;

use super::{clear, prefix};
use crate::Backend;

/// Timeout of requests to the cluster, and of the deletion of topics.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval between checks whether a topic is deleted.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Topics and groups with a unique prefix.
pub struct Kafka {
    brokers: String,
    prefix: String,
}

impl Kafka {
    /// Creates a namespace in the cluster of `TEST_KAFKA_BROKERS`; `None` if the variable is not set.
    pub fn find() -> Option<Self> {
        Some(Self { brokers: Backend::Kafka.address()?, prefix: prefix() })
    }

    /// Bootstrap addresses of the cluster.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Prefix of all names.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// Deletes the topics for which `pick` returns true; returns their names after they are deleted.
///
/// # Errors
/// When the cluster does not respond, or rejects the request.
pub async fn remove_topics(brokers: &str, pick: impl Fn(&str) -> bool) -> Result<Vec<String>, String> {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", brokers).set("allow.auto.create.topics", "false");
    let admin: AdminClient<DefaultClientContext> = settings.create().map_err(|error| error.to_string())?;
    let metadata = admin.inner().fetch_metadata(None, REQUEST_TIMEOUT).map_err(|error| error.to_string())?;
    let names = metadata.topics().iter().map(MetadataTopic::name);
    let picked: Vec<_> = names.filter(|name| pick(name)).collect();
    if !picked.is_empty() {
        admin.delete_topics(&picked, &AdminOptions::new()).await.map_err(|error| error.to_string())?;
    }
    let began = Instant::now();
    for name in &picked {
        while exists(&admin, name)? {
            if began.elapsed() > REQUEST_TIMEOUT {
                return Err(format!("{name} still exists"));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
    Ok(picked.into_iter().map(str::to_owned).collect())
}

fn exists(admin: &AdminClient<DefaultClientContext>, name: &str) -> Result<bool, String> {
    let metadata = admin.inner().fetch_metadata(Some(name), REQUEST_TIMEOUT).map_err(|error| error.to_string())?;
    Ok(metadata.topics().iter().any(|topic| !topic.partitions().is_empty()))
}

impl Drop for Kafka {
    fn drop(&mut self) {
        let removed = async { remove_topics(&self.brokers, |name| name.starts_with(&self.prefix)).await.map(drop) };
        clear(&self.prefix, removed);
    }
}
