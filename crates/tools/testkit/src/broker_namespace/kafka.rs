//! A corner of a Kafka cluster.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::metadata::MetadataTopic;

use super::{clear, prefix};
use crate::Backend;

/// How long the cluster may take to tell what it has.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks whether a topic is gone.
const POLL: Duration = Duration::from_millis(10);

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
}

/// Removes the topics that are picked from those in the cluster; their names. They are gone when this returns.
///
/// # Errors
/// When the cluster does not answer, or does not take the request.
pub async fn remove_topics(brokers: &str, pick: impl Fn(&str) -> bool) -> Result<Vec<String>, String> {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", brokers).set("allow.auto.create.topics", "false");
    let admin: AdminClient<DefaultClientContext> = settings.create().map_err(|error| error.to_string())?;
    let metadata = admin.inner().fetch_metadata(None, PATIENCE).map_err(|error| error.to_string())?;
    let names = metadata.topics().iter().map(MetadataTopic::name);
    let picked: Vec<_> = names.filter(|name| pick(name)).collect();
    if !picked.is_empty() {
        admin.delete_topics(&picked, &AdminOptions::new()).await.map_err(|error| error.to_string())?;
    }
    let began = Instant::now();
    for name in &picked {
        while is_there(&admin, name)? {
            if began.elapsed() > PATIENCE {
                return Err(format!("{name} stays"));
            }
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(picked.into_iter().map(str::to_owned).collect())
}

fn is_there(admin: &AdminClient<DefaultClientContext>, name: &str) -> Result<bool, String> {
    let metadata = admin.inner().fetch_metadata(Some(name), PATIENCE).map_err(|error| error.to_string())?;
    Ok(metadata.topics().iter().any(|topic| !topic.partitions().is_empty()))
}

impl Drop for Kafka {
    fn drop(&mut self) {
        let removed = async { remove_topics(&self.brokers, |name| name.starts_with(&self.prefix)).await.map(drop) };
        clear(&self.prefix, removed);
    }
}
