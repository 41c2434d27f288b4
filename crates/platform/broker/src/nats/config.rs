//! Where the NATS server is, and how it is used.

use std::num::{NonZeroU16, NonZeroUsize};
use std::time::Duration;

use async_nats::ServerAddr;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::ConnectError;

/// Where NATS is, and how it is used.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NatsConfig {
    /// The servers: `nats://` or `tls://` URLs parted by commas, with user and password where they need them.
    /// No default.
    pub url: Option<SecretString>,
    /// What the names of streams and subjects begin with.
    pub prefix: String,
    /// Partitions of a topic: the most members of a group that can work side by side. Processes of one prefix must
    /// agree on it.
    pub partitions: NonZeroU16,
    /// Events of a partition that a member has in hand, handed out or not.
    pub buffer: NonZeroUsize,
    /// Copies of each stream in a cluster.
    pub replicas: NonZeroUsize,
    /// How long events are kept. One that a group has not settled by then is lost to it.
    pub retention: Duration,
    /// How long the server waits for word of an event before it delivers it again.
    pub ack_wait: Duration,
    /// How long the others wait before they take the partitions of a member that was killed.
    pub lease: Duration,
}

impl Default for NatsConfig {
    fn default() -> Self {
        let count = |number| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
        Self {
            url: None,
            prefix: "kennel".to_owned(),
            partitions: NonZeroU16::new(8).unwrap_or(NonZeroU16::MIN),
            buffer: count(256),
            replicas: count(1),
            retention: Duration::from_hours(24 * 7),
            ack_wait: Duration::from_secs(15),
            lease: Duration::from_secs(10),
        }
    }
}

impl NatsConfig {
    /// The servers to connect to.
    pub(super) fn servers(&self) -> Result<Vec<ServerAddr>, ConnectError> {
        let url = self.url.as_ref().map(|url| url.expose_secret().trim()).filter(|url| !url.is_empty());
        let Some(url) = url else {
            return Err(ConnectError::Setting { setting: "nats.url", problem: "is not set" });
        };
        let wrong = ConnectError::Setting { setting: "nats.url", problem: "is not a list of NATS URLs" };
        url.split(',').map(|url| url.trim().parse()).collect::<Result<_, _>>().map_err(|_| wrong)
    }

    /// Checks the bounds that the server would only complain of later.
    pub(super) fn check(&self) -> Result<(), ConnectError> {
        let wrong = |setting, problem| Err(ConnectError::Setting { setting, problem });
        if self.prefix.is_empty() {
            return wrong("nats.prefix", "is empty");
        }
        if self.lease < Duration::from_millis(500) {
            return wrong("nats.lease", "is shorter than half a second");
        }
        if self.ack_wait < Duration::from_millis(500) {
            return wrong("nats.ack_wait", "is shorter than half a second");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(url: &str) -> NatsConfig {
        NatsConfig { url: Some(url.into()), ..NatsConfig::default() }
    }

    #[test]
    fn the_server_has_no_default() {
        for config in [NatsConfig::default(), with(" ")] {
            let error = config.servers().unwrap_err();
            assert_eq!(error.to_string(), "the setting `nats.url` of the broker is not set");
        }
        assert_eq!(with("nats://a:4222, tls://b").servers().unwrap().len(), 2);
    }

    #[test]
    fn a_wrong_url_is_not_repeated() {
        let error = with("nats://user:geheim@[").servers().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("geheim"));
        assert!(!format!("{:?}", with("nats://user:geheim@a")).contains("geheim"));
    }

    #[test]
    fn bounds_are_checked() {
        assert!(NatsConfig::default().check().is_ok());
        let short = Duration::from_millis(1);
        assert!(NatsConfig { lease: short, ..NatsConfig::default() }.check().is_err());
        assert!(NatsConfig { ack_wait: short, ..NatsConfig::default() }.check().is_err());
        assert!(NatsConfig { prefix: String::new(), ..NatsConfig::default() }.check().is_err());
    }
}
