//! Where the RabbitMQ server is, and how it is used.

use std::num::NonZeroU16;
use std::time::Duration;

use lapin::uri::AMQPUri;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::ConnectError;

/// The heartbeat of connections, in seconds. A peer that is silent for two of them is gone.
const HEARTBEAT: u16 = 5;

/// Where RabbitMQ is, and how it is used.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RabbitConfig {
    /// The server: an `amqp://` or `amqps://` URL, with user and password where it needs them. No default.
    pub url: Option<SecretString>,
    /// What the names of exchanges and queues begin with.
    pub prefix: String,
    /// Partitions of a topic: the most members of a group that can work side by side. Processes of one prefix must
    /// agree on it.
    pub partitions: NonZeroU16,
    /// Events of a partition that a member has in hand, handed out or not.
    pub buffer: NonZeroU16,
    /// How often a member looks whether the partitions are still fairly shared out.
    pub balance: Duration,
}

impl Default for RabbitConfig {
    fn default() -> Self {
        let count = |number| NonZeroU16::new(number).unwrap_or(NonZeroU16::MIN);
        Self {
            url: None,
            prefix: "kennel".to_owned(),
            partitions: count(8),
            buffer: count(256),
            balance: Duration::from_secs(2),
        }
    }
}

impl RabbitConfig {
    /// The server to connect to.
    pub(super) fn server(&self) -> Result<AMQPUri, ConnectError> {
        let url = self.url.as_ref().map(|url| url.expose_secret().trim()).filter(|url| !url.is_empty());
        let Some(url) = url else {
            return Err(ConnectError::Setting { setting: "rabbitmq.url", problem: "is not set" });
        };
        let wrong = ConnectError::Setting { setting: "rabbitmq.url", problem: "is not an AMQP URL" };
        let mut server: AMQPUri = url.parse().map_err(|_| wrong)?;
        server.query.heartbeat.get_or_insert(HEARTBEAT);
        Ok(server)
    }

    /// Checks what the server would only complain of later.
    pub(super) fn check(&self) -> Result<(), ConnectError> {
        if self.prefix.is_empty() || self.prefix.len() > 40 {
            return Err(ConnectError::Setting { setting: "rabbitmq.prefix", problem: "must have 1 to 40 characters" });
        }
        if self.balance.is_zero() {
            return Err(ConnectError::Setting { setting: "rabbitmq.balance", problem: "must be longer than 0s" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(url: &str) -> RabbitConfig {
        RabbitConfig { url: Some(url.into()), ..RabbitConfig::default() }
    }

    #[test]
    fn the_server_has_no_default() {
        for config in [RabbitConfig::default(), with(" ")] {
            let error = config.server().unwrap_err();
            assert_eq!(error.to_string(), "the setting `rabbitmq.url` of the broker is not set");
        }
        let server = with("amqp://a:5673/%2f").server().unwrap();
        assert_eq!((server.authority.port, server.query.heartbeat), (5673, Some(HEARTBEAT)));
        assert_eq!(with("amqp://a/?heartbeat=60").server().unwrap().query.heartbeat, Some(60));
    }

    #[test]
    fn a_wrong_url_is_not_repeated() {
        let error = with("amqp://user:geheim@[").server().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("geheim"));
        assert!(!format!("{:?}", with("amqp://user:geheim@a")).contains("geheim"));
    }

    #[test]
    fn bounds_are_checked() {
        assert!(RabbitConfig::default().check().is_ok());
        assert!(RabbitConfig { prefix: String::new(), ..RabbitConfig::default() }.check().is_err());
        assert!(RabbitConfig { balance: Duration::ZERO, ..RabbitConfig::default() }.check().is_err());
    }
}
