//! A corner of a RabbitMQ server. A virtual host would need its management plugin, so a prefix has to do.

use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Connection, ConnectionProperties};

use super::{clear, prefix};
use crate::Backend;

/// Exchanges and queues with a prefix of their own.
pub struct Rabbit {
    url: String,
    prefix: String,
    exchanges: Vec<String>,
    queues: Vec<String>,
}

impl Rabbit {
    /// One on the server of `TEST_RABBITMQ_URL`; `None` when there is no such server.
    pub fn find() -> Option<Self> {
        let (url, prefix) = (Backend::RabbitMq.address()?, prefix());
        let dead = vec![format!("{prefix}.dead")];
        Some(Self { url, prefix, exchanges: dead.clone(), queues: dead })
    }

    /// With what these topics, groups and partitions lead to; the server does not tell, so it has to be known.
    #[must_use]
    pub fn with(mut self, topics: &[&str], groups: &[&str], partitions: u16) -> Self {
        let word = |name: &str| name.replace('.', "_");
        for topic in topics.iter().map(|topic| word(topic)) {
            let name = |kind: &str| format!("{}.{kind}.{topic}", self.prefix);
            self.exchanges.extend(["topic", "groups", "unclaimed", "renewed"].map(name));
            self.queues.push(name("unclaimed"));
            for group in groups.iter().map(|group| word(group)) {
                let queue = |number| format!("{}.{group}.{number}", name("queue"));
                self.queues.extend((0..partitions).map(queue));
            }
        }
        self
    }

    /// Where the server is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What names begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// Removes these from the server, if they are there.
///
/// # Errors
/// When the server does not answer, or does not take the request.
pub async fn remove_queues_and_exchanges(url: &str, queues: &[String], exchanges: &[String]) -> Result<(), String> {
    let told = |error: lapin::Error| error.to_string();
    let connection = Connection::connect(url, ConnectionProperties::default()).await.map_err(told)?;
    let channel = connection.create_channel().await.map_err(told)?;
    for queue in queues {
        channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await.map_err(told)?;
    }
    for exchange in exchanges {
        channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default()).await.map_err(told)?;
    }
    connection.close(200, "done".into()).await.map_err(told)
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        clear(&self.prefix, remove_queues_and_exchanges(&self.url, &self.queues, &self.exchanges));
    }
}
