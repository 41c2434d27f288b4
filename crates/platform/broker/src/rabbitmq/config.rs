//! Checks the settings of RabbitMQ.

use kennel_config::{HumanDuration, Problems};
use lapin::uri::AMQPUri;

use crate::config::RabbitConfig;

/// The heartbeat of connections, in seconds. A connection ends when its peer is silent for two of them.
const HEARTBEAT: u16 = 5;

impl RabbitConfig {
    /// Returns the server to connect to. Adds the problems of the settings.
    pub(crate) fn server(&self, problems: &mut Problems) -> Option<AMQPUri> {
        if !(1..=40).contains(&self.prefix.len()) {
            problems.add("broker_prefix", "must have 1 to 40 characters");
        }
        problems.check_not_zero("rabbitmq_balance", HumanDuration(self.balance));
        let url = ("rabbitmq_url", self.rabbitmq_url.as_ref());
        let password = ("rabbitmq_password", self.rabbitmq_password.as_ref());
        let url = problems.server_url(url, password, "the broker is rabbitmq")?;
        let Ok(mut server) = url.expose().trim().parse::<AMQPUri>() else {
            problems.add("rabbitmq_url", "must be an AMQP URL");
            return None;
        };
        server.query.heartbeat.get_or_insert(HEARTBEAT);
        Some(server)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn with(url: &str) -> RabbitConfig {
        RabbitConfig { rabbitmq_url: Some(url.into()), ..RabbitConfig::default() }
    }

    fn server(config: &RabbitConfig) -> Result<AMQPUri, String> {
        Problems::resolve(|problems| config.server(problems)).map_err(|errors| errors.to_string())
    }

    #[test]
    fn there_is_no_default_url() {
        for config in [RabbitConfig::default(), with(" ")] {
            let error = server(&config).unwrap_err();
            assert_eq!(error, "RABBITMQ_URL (not set): must be set when the broker is rabbitmq");
        }
        let found = server(&with("amqp://a:5673/%2f")).unwrap();
        assert_eq!((found.authority.port, found.query.heartbeat), (5673, Some(HEARTBEAT)));
        assert_eq!(server(&with("amqp://a/?heartbeat=60")).unwrap().query.heartbeat, Some(60));
    }

    #[test]
    fn an_error_does_not_contain_the_url() {
        assert!(!server(&with("amqp://user:geheim@[")).unwrap_err().contains("geheim"));
        assert!(!format!("{:?}", with("amqp://user:geheim@a")).contains("geheim"));
    }

    #[test]
    fn limits_are_checked() {
        for wrong in [
            RabbitConfig { prefix: String::new(), ..with("amqp://a") },
            RabbitConfig { balance: Duration::ZERO, ..with("amqp://a") },
        ] {
            assert_eq!(server(&wrong).unwrap_err().lines().count(), 1);
        }
    }
}
