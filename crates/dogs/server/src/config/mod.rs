//! The settings that only dogs has. `docs/configuration.md` has all settings of the service.

mod gallery;

use dogs_sources::SourceSettings;
use kennel_config::{Reader, Settings};
use kennel_images::ImageConfig;
use kennel_service::ProcessSettings;

pub use gallery::GalleryConfig;

/// The settings of dogs.
#[derive(Debug, Clone)]
pub struct DogsConfig {
    /// Links of the gallery.
    pub gallery: GalleryConfig,
    /// Limits of images.
    pub images: ImageConfig,
    /// The source of new images.
    pub source: SourceSettings,
}

impl Settings for DogsConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { gallery: reader.section(), images: reader.section(), source: reader.section() }
    }
}

impl DogsConfig {
    /// The URL of the metrics to show to people, if any.
    pub fn metrics_url(&self, process: &ProcessSettings) -> Option<String> {
        self.gallery.metrics_url.clone().or_else(|| process.metrics_url())
    }
}

#[cfg(test)]
mod tests {
    use kennel_config::{Environment, load};

    use kennel_service::ProgramSettings;
    use kennel_service::contracts::configuration;

    use crate::Dogs;

    fn environment(pairs: &[(&'static str, &'static str)]) -> Environment {
        Environment::from_pairs(pairs.iter().copied())
    }

    fn metrics_url(settings: &ProgramSettings<Dogs>) -> Option<String> {
        settings.service.own.metrics_url(&settings.process)
    }

    #[test]
    fn the_defaults_are_valid() {
        let settings = load::<ProgramSettings<Dogs>>(&environment(&[])).unwrap().settings;
        assert_eq!(settings.service.standard.http.addr().to_string(), "127.0.0.1:8080");
        assert_eq!(settings.service.standard.http.public_url(), "http://localhost:8080");
        assert_eq!(metrics_url(&settings).as_deref(), Some("http://localhost:9090/metrics"));
    }

    #[test]
    fn the_metrics_link_is_reachable_for_people() {
        let linked = |pairs: &[_]| metrics_url(&load(&environment(pairs)).unwrap().settings);
        let (open, here) = (("SERVER_HOST", "0.0.0.0"), ("METRICS_URL", "https://metrics.test/dogs"));
        assert_eq!(linked(&[open]), None);
        assert_eq!(linked(&[("PROMETHEUS_PORT", "0")]), None);
        assert_eq!(linked(&[open, here]).as_deref(), Some("https://metrics.test/dogs"));
    }

    /// The settings with this description of their values in the reference.
    fn described(value: &str) -> Vec<String> {
        let document = configuration::<Dogs>();
        let rows = document.lines().filter(|line| line.starts_with("| `") && line.contains(&format!("` | {value}")));
        rows.map(|row| row.trim_start_matches("| `").split('`').next().unwrap().to_owned()).collect()
    }

    /// Kubernetes sets `<SERVICE>_PORT`, `<SERVICE>_SERVICE_HOST`, `<SERVICE>_SERVICE_PORT` and more for each service.
    #[test]
    fn kubernetes_service_variables_are_not_settings() {
        let all = described("");
        assert!(all.len() > 50, "{all:?}");
        let ports: Vec<_> = all.iter().filter(|name| name.ends_with("_PORT")).collect();
        assert_eq!(ports, ["PROMETHEUS_PORT", "SERVER_PORT", "GRPC_PORT"]);
        let links = ports.iter().map(|name| (name.as_str(), "tcp://10.0.0.1:9090"));
        let loaded = load::<ProgramSettings<Dogs>>(&Environment::from_pairs(links)).unwrap();
        assert_eq!(loaded.settings.service.standard.http.server_port, 8080);
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
            let errors = load::<ProgramSettings<Dogs>>(&Environment::from_pairs(built)).err()?.0;
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
        let errors = load::<ProgramSettings<Dogs>>(&environment(&bad)).err().unwrap().to_string();
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
