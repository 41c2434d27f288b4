//! The settings of the service. `docs/configuration.md` is generated from here.

mod broker;
mod cache;
mod kafka;
mod objects;
mod outbox;
mod serving;
mod source;
mod storage;

use kennel_broker::BrokerConfig;
#[cfg(feature = "kafka")]
use kennel_config::Problems;
use kennel_config::{Reader, Settings};

pub use broker::BrokerSettings;
pub use cache::CacheSettings;
pub use kafka::KafkaSettings;
pub use objects::ObjectSettings;
pub use outbox::OutboxSettings;
pub use serving::{ServerSettings, TelemetrySettings};
pub use source::SourceSettings;
pub use storage::StorageSettings;

/// Every setting.
#[derive(Debug, Clone)]
pub struct DogsSettings {
    /// Listeners and limits.
    pub server: ServerSettings,
    /// Logs and traces.
    pub telemetry: TelemetrySettings,
    /// Where dogs are kept.
    pub storage: StorageSettings,
    /// Where events go.
    pub broker: BrokerSettings,
    /// The Kafka cluster, where events go there.
    pub kafka: KafkaSettings,
    /// How events get there, and what is forgotten when.
    pub outbox: OutboxSettings,
    /// What is remembered.
    pub cache: CacheSettings,
    /// Where pictures are kept.
    pub objects: ObjectSettings,
    /// Where pictures come from.
    pub source: SourceSettings,
}

impl Settings for DogsSettings {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            server: reader.section(),
            telemetry: reader.section(),
            storage: reader.section(),
            broker: reader.section(),
            kafka: reader.section(),
            outbox: reader.section(),
            cache: reader.section(),
            objects: reader.section(),
            source: reader.section(),
        }
    }

    #[cfg(feature = "kafka")]
    fn check(&self, problems: &mut Problems) {
        if self.broker.broker == kennel_broker::Backend::Kafka {
            self.kafka.check_as_broker(problems);
        }
    }
}

impl DogsSettings {
    /// The broker to open.
    pub fn broker(&self) -> BrokerConfig {
        let broker = self.broker.broker();
        #[cfg(feature = "kafka")]
        let kafka = self.broker.prefixed(self.kafka.kafka(), |config| &mut config.prefix);
        #[cfg(feature = "kafka")]
        let broker = BrokerConfig { kafka, ..broker };
        broker
    }
}

/// `docs/configuration.md`.
pub fn document() -> String {
    let reference = kennel_config::reference::<DogsSettings>();
    format!("{INTRODUCTION}{}\n", reference.trim_end())
}

const INTRODUCTION: &str = "\
# Configuration

Generated from the settings' types by `make generate`; do not edit.

Layers, the later ones win: built-in defaults, the TOML file that `CONFIG_FILE` names, `.env` in the working directory, the
environment. The variable `SERVER_PORT` is the key `server_port` of the file; unknown keys of the file are refused. An empty
variable counts as not set. Spans of time are written such as `250ms`, `30s` or `1h 30m`; sizes such as `64KiB` or `10MiB`.

Every problem is reported at once, each with the variable or the line of the file it comes from, before any socket opens; the
exit code is 64. `dogs config check` does only that; `dogs config print` shows every setting with its origin.

";

#[cfg(test)]
mod tests {
    use kennel_config::{Environment, load};

    use super::*;

    fn environment(pairs: &[(&'static str, &'static str)]) -> Environment {
        Environment::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn the_defaults_are_fine() {
        let settings = load::<DogsSettings>(&environment(&[])).unwrap().settings;
        assert_eq!(settings.server.http().addr.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.server.public_url(), "http://localhost:8080");
        assert_eq!(settings.server.metrics_url().as_deref(), Some("http://localhost:9090/metrics"));
    }

    #[test]
    fn metrics_are_linked_to_where_people_reach_them() {
        let linked = |pairs: &[_]| load::<DogsSettings>(&environment(pairs)).unwrap().settings.server.metrics_url();
        let (open, here) = (("SERVER_HOST", "0.0.0.0"), ("METRICS_URL", "https://metrics.test/dogs"));
        assert_eq!(linked(&[open]), None);
        assert_eq!(linked(&[("PROMETHEUS_PORT", "0")]), None);
        assert_eq!(linked(&[open, here]).as_deref(), Some("https://metrics.test/dogs"));
    }

    #[test]
    fn every_problem_is_told_with_its_variable() {
        let bad = [
            ("SERVER_PORT", "http"),
            ("STORAGE", "oracle"),
            ("BROKER", "pigeon"),
            ("BROKER_PREFIX", "dogs.here"),
            ("CACHE", "drawer"),
            ("OBJECTS", "attic"),
            ("LOG_LEVEL", "what=loud"),
            ("DOG_API_BASE_URL", "https://user:hunter2@example.org"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:hunter2@localhost:4317"),
            ("REQUEST_TIMEOUT", "soon"),
            ("PUBLIC_URL", "http://kennel.example/?dogs"),
            ("METRICS_URL", "javascript:alert(1)"),
            ("GRAFANA_URL", "grafana:3000"),
        ];
        let told = load::<DogsSettings>(&environment(&bad)).unwrap_err().to_string();
        for (name, _) in bad {
            assert!(told.lines().any(|line| line.starts_with(&format!("{name} (environment)"))), "{name} in:\n{told}");
        }
        assert_eq!(told.lines().count(), bad.len(), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}
