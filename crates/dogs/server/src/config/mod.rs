//! The settings of the service. `docs/configuration.md` is generated from here.

mod gallery;
mod source;

use dogs_domain::events::{DogCreated, DogDeleted, DogUpdated, DogsImported, ImageStored, ThumbnailStored};
use kennel_app::ShutdownConfig;
use kennel_broker::{BrokerConfig, EventTopic};
use kennel_cache::CacheConfig;
use kennel_config::{Reader, Settings};
use kennel_grpc::GrpcConfig;
use kennel_http::{HttpConfig, SysConfig};
use kennel_images::ImageConfig;
use kennel_net::ServerConfig;
use kennel_objects::ObjectsConfig;
use kennel_outbox::OutboxConfig;
use kennel_storage::StorageConfig;
use kennel_telemetry::otel::SDK_VARIABLES;
use kennel_telemetry::{OtelConfig, TelemetryConfig};

pub use gallery::GalleryConfig;
pub use source::SourceSettings;

/// The events whose topics in Kafka are settings.
const EVENTS: [EventTopic; 6] = [
    EventTopic::of::<DogCreated>("a dog was created"),
    EventTopic::of::<DogUpdated>("a dog was updated"),
    EventTopic::of::<DogDeleted>("a dog was deleted"),
    EventTopic::of::<ImageStored>("an image was stored"),
    EventTopic::of::<ThumbnailStored>("a thumbnail was stored"),
    EventTopic::of::<DogsImported>("a batch of an import was committed"),
];

/// All settings.
#[derive(Debug, Clone)]
pub struct DogsSettings {
    /// The limits that all servers share.
    pub server: ServerConfig,
    /// The graceful stop.
    pub shutdown: ShutdownConfig,
    /// The HTTP server.
    pub http: HttpConfig,
    /// The gRPC server.
    pub grpc: GrpcConfig,
    /// The server of metrics, health and profiles.
    pub sys: SysConfig,
    /// Links of the gallery.
    pub gallery: GalleryConfig,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// The export of logs and traces.
    pub otel: OtelConfig,
    /// The store of dogs.
    pub storage: StorageConfig,
    /// The broker of events.
    pub broker: BrokerConfig,
    /// Publishing, consumption and retention of events.
    pub outbox: OutboxConfig,
    /// The cache of dogs.
    pub cache: CacheConfig,
    /// The object store of images.
    pub objects: ObjectsConfig,
    /// Limits of images.
    pub images: ImageConfig,
    /// The source of new images.
    pub source: SourceSettings,
}

impl Settings for DogsSettings {
    fn read(reader: &mut Reader<'_>) -> Self {
        let server: ServerConfig = reader.section();
        let settings = Self {
            http: HttpConfig { server: server.clone(), ..reader.section() },
            grpc: GrpcConfig { server: server.clone(), domain: crate::NAME, ..reader.section() },
            sys: SysConfig { server: server.clone(), ..reader.section() },
            server,
            shutdown: reader.section(),
            gallery: reader.section(),
            telemetry: reader.section(),
            otel: reader.section(),
            storage: reader.section(),
            broker: BrokerConfig::read(reader, &EVENTS),
            outbox: reader.section(),
            cache: reader.section(),
            objects: reader.section(),
            images: reader.section(),
            source: reader.section(),
        };
        reader.warn_about_unread("OTEL_", &SDK_VARIABLES, "not supported, without effect");
        settings
    }
}

impl DogsSettings {
    /// The URL of the metrics to show to people, if any.
    pub fn metrics_url(&self) -> Option<String> {
        let here = self.server.server_host.is_loopback() && self.sys.prometheus_port != 0;
        let local = || here.then(|| format!("http://localhost:{}/metrics", self.sys.prometheus_port));
        self.gallery.metrics_url.clone().or_else(local)
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

Layers, of which later ones override earlier ones: built-in defaults, the TOML file that `CONFIG_FILE` names, `.env` in the
working directory, the environment. The variable `SERVER_PORT` is the key `server_port` of the file; unknown keys of the file
are rejected. An empty variable counts as unset. Durations are written as `250ms`, `30s` or `1h 30m`; sizes as `64KiB` or
`10MiB`.

All problems are reported at once, each with its variable or its line of the file, before any socket is opened; the exit code
is 64. `dogs config check` only does this check; `dogs config print` shows every setting with its source.

";

#[cfg(test)]
mod tests {
    use kennel_config::{Environment, load};

    use super::*;

    fn environment(pairs: &[(&'static str, &'static str)]) -> Environment {
        Environment::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn the_defaults_are_valid() {
        let settings = load::<DogsSettings>(&environment(&[])).unwrap().settings;
        assert_eq!(settings.http.addr().to_string(), "127.0.0.1:8080");
        assert_eq!(settings.http.public_url(), "http://localhost:8080");
        assert_eq!(settings.metrics_url().as_deref(), Some("http://localhost:9090/metrics"));
    }

    #[test]
    fn the_metrics_link_is_reachable_for_people() {
        let linked = |pairs: &[_]| load::<DogsSettings>(&environment(pairs)).unwrap().settings.metrics_url();
        let (open, here) = (("SERVER_HOST", "0.0.0.0"), ("METRICS_URL", "https://metrics.test/dogs"));
        assert_eq!(linked(&[open]), None);
        assert_eq!(linked(&[("PROMETHEUS_PORT", "0")]), None);
        assert_eq!(linked(&[open, here]).as_deref(), Some("https://metrics.test/dogs"));
    }

    /// The settings with this description of their values in the reference.
    fn described(value: &str) -> Vec<String> {
        let document = document();
        let rows = document.lines().filter(|line| line.starts_with("| `") && line.contains(&format!("` | {value}")));
        rows.map(|row| row.trim_start_matches("| `").split('`').next().unwrap().to_owned()).collect()
    }

    /// Kubernetes sets `<SERVICE>_PORT`, `<SERVICE>_SERVICE_HOST`, `<SERVICE>_SERVICE_PORT` and more for each service.
    #[test]
    fn kubernetes_service_variables_are_not_settings() {
        let all = described("");
        assert!(all.len() > 50, "{all:?}");
        let ports: Vec<_> = all.iter().filter(|name| name.ends_with("_PORT")).collect();
        assert_eq!(ports, ["SERVER_PORT", "GRPC_PORT", "PROMETHEUS_PORT"]);
        let links = ports.iter().map(|name| (name.as_str(), "tcp://10.0.0.1:9090"));
        let loaded = load::<DogsSettings>(&Environment::from_pairs(links)).unwrap();
        assert_eq!(loaded.settings.http.server_port, 8080);
        let [warning] = &loaded.warnings[..] else { panic!("{:?}", loaded.warnings) };
        assert!(ports.iter().all(|name| warning.location.contains(name.as_str())), "{warning}");
        for name in all {
            // A number or an address could also be set by a user.
            let is_link = ["_SERVICE_HOST", "_SERVICE_PORT", "_TCP_ADDR", "_TCP_PORT", "_TCP_PROTO"];
            assert!(!is_link.iter().any(|ending| name.ends_with(ending)), "{name} can be set by Kubernetes");
            assert!(!name.contains("_SERVICE_PORT_"), "{name} can be set by Kubernetes");
        }
    }

    /// A limit is reported in the unit that the user has to write, and is itself valid.
    #[test]
    fn invalid_durations_and_sizes_are_reported_in_their_units() {
        let unit = |word: &str| word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with(char::is_alphabetic);
        let problem_of = |name: &str, value: &str| {
            let pairs = [(name, value), ("STORAGE", "postgres"), ("POSTGRES_DSN", "postgres://u:p@localhost/d")];
            let redis = [("CACHE", "redis"), ("REDIS_ADDR", "localhost:6379")];
            let built = pairs.into_iter().chain(redis.into_iter().filter(|_| cfg!(feature = "redis")));
            let errors = load::<DogsSettings>(&Environment::from_pairs(built)).err()?.0;
            errors.into_iter().find(|problem| problem.location.starts_with(name)).map(|problem| problem.message)
        };
        let mut found = Vec::new();
        for (kind, extremes) in [("a duration", ["0s", "1ms", "90000h"]), ("a number of bytes", ["0", "1B", "9TiB"])] {
            for name in described(kind) {
                for message in extremes.iter().filter_map(|value| problem_of(&name, value)) {
                    let numbers = message.split(' ').filter(|word| word.contains(|c: char| c.is_ascii_digit()));
                    assert!(numbers.clone().all(unit), "{name}: {message}");
                    for bound in numbers.filter(|_| !message.contains("longer than")) {
                        assert_eq!(problem_of(&name, bound), None, "{name}: {message}, but {bound} is rejected");
                    }
                    found.push((name.clone(), message));
                }
            }
        }
        let of = |name: &str| found.iter().find(|(setting, _)| setting == name).map(|(_, message)| message.as_str());
        assert_eq!(of("REQUEST_TIMEOUT"), Some("must be at least 1ms"));
        assert_eq!(of("OUTBOX_LEASE"), Some("must be longer than 0s"));
        assert_eq!(of("IMAGE_LIMIT"), Some("must be 1B to 256MiB"));
        if cfg!(feature = "postgres") {
            assert_eq!(of("DATABASE_ACQUIRE_TIMEOUT"), Some("must be 100ms to 10m"));
        }
    }

    #[test]
    fn every_problem_is_reported_with_its_variable() {
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
        let errors = load::<DogsSettings>(&environment(&bad)).unwrap_err().to_string();
        for (name, _) in bad {
            assert!(
                errors.lines().any(|line| line.starts_with(&format!("{name} (environment)"))),
                "{name} in:\n{errors}"
            );
        }
        assert_eq!(errors.lines().count(), bad.len(), "{errors}");
        assert!(!errors.contains("hunter2"), "{errors}");
    }
}
