//! A namespace on a RabbitMQ server: a prefix, because creating a virtual host would need the management plugin.

use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Connection, ConnectionProperties};

use super::{clear, prefix};
use crate::Backend;

/// Exchanges and queues with a unique prefix.
pub struct Rabbit {
    url: String,
    prefix: String,
    exchanges: Vec<String>,
    queues: Vec<String>,
}

impl Rabbit {
    /// Creates a namespace on the server of `TEST_RABBITMQ_URL`; `None` if the variable is not set.
    pub fn find() -> Option<Self> {
        let (url, prefix) = (Backend::RabbitMq.address()?, prefix());
        let dead_letters = vec![format!("{prefix}.dead")];
        Some(Self { url, prefix, exchanges: dead_letters.clone(), queues: dead_letters })
    }

    /// Adds the exchanges and queues of these topics, groups and partitions to those that are deleted at the end. AMQP
    /// cannot list them.
    #[must_use]
    pub fn with(mut self, topics: &[&str], groups: &[&str], partitions: u16) -> Self {
        let escaped = |name: &str| name.replace('.', "_");
        for topic in topics.iter().map(|topic| escaped(topic)) {
            let name = |kind: &str| format!("{}.{kind}.{topic}", self.prefix);
            self.exchanges.extend(["topic", "groups", "grouped", "unclaimed", "renewed"].map(name));
            self.queues.push(name("unclaimed"));
            for group in groups.iter().map(|group| escaped(group)) {
                let queue = |number| format!("{}.{group}.{number}", name("queue"));
                self.queues.extend((0..partitions).map(queue));
            }
        }
        self
    }

    /// URL of the server.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Prefix of all names.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// Deletes these queues and exchanges, if they exist.
///
/// # Errors
/// When the server does not respond, or rejects the request.
pub async fn remove_queues_and_exchanges(url: &str, queues: &[String], exchanges: &[String]) -> Result<(), String> {
    let text = |error: lapin::Error| error.to_string();
    let connection = Connection::connect(url, ConnectionProperties::default()).await.map_err(text)?;
    let channel = connection.create_channel().await.map_err(text)?;
    for queue in queues {
        channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await.map_err(text)?;
    }
    for exchange in exchanges {
        channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default()).await.map_err(text)?;
    }
    connection.close(200, "done".into()).await.map_err(text)
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        clear(&self.prefix, remove_queues_and_exchanges(&self.url, &self.queues, &self.exchanges));
    }
}
