//! Settings of the broker. Kafka has its own section.

use kennel_broker::BrokerConfig;
use kennel_config::{Problems, Secret, Section};
use kennel_core::BackendKind as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(any(feature = "nats", feature = "rabbitmq"))]
use super::login;

/// The broker of events.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BrokerSettings {
    /// Which broker: `memory`, which is in-process, or another one that is compiled in.
    #[schemars(with = "String")]
    #[serde(with = "kennel_core::backend")]
    pub broker: kennel_broker::Backend,
    /// The prefix of all names at the broker, so that installations can share one. Unset: `kennel` at `nats` and `rabbitmq`,
    /// none at `kafka`. Topics that settings name get no prefix.
    pub broker_prefix: Option<String>,
    /// The servers of `nats`, such as `nats://user:password@host:4222`, separated by commas; `tls://` encrypts.
    pub nats_url: Option<Secret>,
    /// The password of the user in `nats_url`; unlike in the URL, without percent-encoding.
    pub nats_password: Option<Secret>,
    /// The server of `rabbitmq`, such as `amqp://user:password@host:5672/%2f`; `amqps://` encrypts.
    pub rabbitmq_url: Option<Secret>,
    /// The password of the user in `rabbitmq_url`, without percent-encoding.
    pub rabbitmq_password: Option<Secret>,
}

impl BrokerSettings {
    /// The configuration of the broker to open.
    pub fn broker(&self) -> BrokerConfig {
        BrokerConfig {
            backend: self.broker,
            #[cfg(feature = "nats")]
            nats: kennel_broker::nats::NatsConfig {
                url: login(self.nats_url.as_ref(), self.nats_password.as_ref()).map(Into::into),
                ..self.prefixed(kennel_broker::nats::NatsConfig::default(), |config| &mut config.prefix)
            },
            #[cfg(feature = "rabbitmq")]
            rabbitmq: kennel_broker::rabbitmq::RabbitConfig {
                url: login(self.rabbitmq_url.as_ref(), self.rabbitmq_password.as_ref()).map(Into::into),
                ..self.prefixed(kennel_broker::rabbitmq::RabbitConfig::default(), |config| &mut config.prefix)
            },
            ..BrokerConfig::default()
        }
    }

    /// The configuration with the prefix, if one is set.
    #[cfg(any(feature = "nats", feature = "kafka", feature = "rabbitmq"))]
    pub(super) fn prefixed<T>(&self, mut config: T, field: impl FnOnce(&mut T) -> &mut String) -> T {
        if let Some(prefix) = &self.broker_prefix {
            field(&mut config).clone_from(prefix);
        }
        config
    }
}

impl Section for BrokerSettings {
    const TITLE: &'static str = "Broker";

    fn check(&self, problems: &mut Problems) {
        if let Err(absent) = self.broker.require() {
            problems.add("broker", absent.to_string());
        }
        if self.broker_prefix.as_deref().is_some_and(|prefix| !is_prefix(prefix)) {
            problems.add("broker_prefix", "must be 1 to 64 letters, digits, `-` and `_`");
        }
        for (broker, key, url, secret, password) in [
            (kennel_broker::Backend::Nats, "nats_url", &self.nats_url, "nats_password", &self.nats_password),
            (
                kennel_broker::Backend::RabbitMq,
                "rabbitmq_url",
                &self.rabbitmq_url,
                "rabbitmq_password",
                &self.rabbitmq_password,
            ),
        ] {
            let combined = url.as_ref().map(|url| url.with_password(password.as_ref()));
            if self.broker == broker
                && let Some(Err(reason)) = combined
            {
                problems.add(secret, format!("the URL of this password {reason}"));
            }
            if self.broker == broker && url.as_ref().is_none_or(|url| url.expose().trim().is_empty()) {
                problems.add(key, format!("must be set when the broker is {}", broker.name()));
            }
        }
    }
}

/// Whether the prefix is valid at every broker. Dots are not: they separate the tokens of NATS subjects.
fn is_prefix(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}
