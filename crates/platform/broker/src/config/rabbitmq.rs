//! Settings of RabbitMQ.

use std::num::NonZeroU16;
use std::time::Duration;

use kennel_config::{Secret, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// RabbitMQ, for `BROKER=rabbitmq`. There is no default URL. Only the URL and the password are settings.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RabbitConfig {
    /// The server of `rabbitmq`, such as `amqp://user:password@host:5672/%2f`; `amqps://` encrypts.
    pub rabbitmq_url: Option<Secret>,
    /// The password of the user in `rabbitmq_url`, without percent-encoding.
    pub rabbitmq_password: Option<Secret>,
    /// Prefix of the names of exchanges and queues.
    #[serde(skip)]
    pub prefix: String,
    /// Number of partitions of a topic, and so the maximum number of group members that receive events at the same time.
    /// Must be equal in all processes with the same prefix.
    #[serde(skip)]
    pub partitions: NonZeroU16,
    /// Maximum number of events of a partition that a member buffers, including those delivered and not settled.
    #[serde(skip)]
    pub buffer: NonZeroU16,
    /// Interval at which a member checks the assignment of partitions.
    #[serde(skip)]
    pub balance: Duration,
}

impl Default for RabbitConfig {
    fn default() -> Self {
        let count = |number| NonZeroU16::new(number).unwrap_or(NonZeroU16::MIN);
        Self {
            rabbitmq_url: None,
            rabbitmq_password: None,
            prefix: "kennel".to_owned(),
            partitions: count(8),
            buffer: count(256),
            balance: Duration::from_secs(2),
        }
    }
}

impl Section for RabbitConfig {
    const TITLE: &'static str = "RabbitMQ";
}
