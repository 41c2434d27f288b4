//! Checks the settings of NATS.

use async_nats::ServerAddr;
use kennel_config::{HumanDuration, Problems};

use crate::config::NatsConfig;

/// Shorter times would end before the answers of a server.
const MIN_WAIT: HumanDuration = HumanDuration::from_millis(500);

impl NatsConfig {
    /// Returns the servers to connect to. Adds the problems of the settings.
    pub(crate) fn servers(&self, problems: &mut Problems) -> Option<Vec<ServerAddr>> {
        if self.prefix.is_empty() {
            problems.add("broker_prefix", "must not be empty");
        }
        problems.check_range("nats_lease", HumanDuration(self.lease), MIN_WAIT..);
        problems.check_range("nats_ack_wait", HumanDuration(self.ack_wait), MIN_WAIT..);
        let url = ("nats_url", self.nats_url.as_ref());
        let password = ("nats_password", self.nats_password.as_ref());
        let url = problems.server_url(url, password, "the broker is nats")?;
        let servers = url.expose().split(',').map(|url| url.trim().parse()).collect::<Result<_, _>>();
        if servers.is_err() {
            problems.add("nats_url", "must be a list of NATS URLs");
        }
        servers.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn with(url: &str) -> NatsConfig {
        NatsConfig { nats_url: Some(url.into()), ..NatsConfig::default() }
    }

    fn servers(config: &NatsConfig) -> Result<Vec<ServerAddr>, String> {
        Problems::resolve(|problems| config.servers(problems)).map_err(|errors| errors.to_string())
    }

    #[test]
    fn there_is_no_default_url() {
        for config in [NatsConfig::default(), with(" ")] {
            assert_eq!(servers(&config).unwrap_err(), "NATS_URL (not set): must be set when the broker is nats");
        }
        assert_eq!(servers(&with("nats://a:4222, tls://b")).unwrap().len(), 2);
    }

    #[test]
    fn an_error_does_not_contain_the_url() {
        assert!(!servers(&with("nats://user:geheim@[")).unwrap_err().contains("geheim"));
        assert!(!format!("{:?}", with("nats://user:geheim@a")).contains("geheim"));
    }

    #[test]
    fn limits_are_checked() {
        let short = Duration::from_millis(1);
        for wrong in [
            NatsConfig { lease: short, ..with("nats://a") },
            NatsConfig { ack_wait: short, ..with("nats://a") },
            NatsConfig { prefix: String::new(), ..with("nats://a") },
        ] {
            assert_eq!(servers(&wrong).unwrap_err().lines().count(), 1);
        }
    }
}
