//! The subset of the Compose file format that the project uses. Unknown keys are refused, because they may be mistakes.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A Compose file, or several merged.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) services: BTreeMap<String, Service>,
    #[serde(default)]
    pub(crate) volumes: BTreeMap<String, Option<BTreeMap<String, Scalar>>>,
}

/// A container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Service {
    pub(crate) image: Option<String>,
    pub(crate) build: Option<Build>,
    pub(crate) extends: Option<Extends>,
    pub(crate) command: Vec<String>,
    pub(crate) environment: BTreeMap<String, Scalar>,
    pub(crate) ports: Vec<String>,
    pub(crate) depends_on: BTreeMap<String, Dependency>,
    pub(crate) healthcheck: Option<Healthcheck>,
    pub(crate) volumes: Vec<String>,
    pub(crate) profiles: Vec<String>,
    pub(crate) extra_hosts: Vec<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) restart: Option<String>,
    pub(crate) mem_limit: Option<String>,
    pub(crate) cpus: Option<f64>,
    pub(crate) shm_size: Option<String>,
    pub(crate) stop_grace_period: Option<String>,
    pub(crate) read_only: bool,
    pub(crate) tmpfs: Vec<String>,
    pub(crate) cap_drop: Vec<String>,
    pub(crate) security_opt: Vec<String>,
    pub(crate) ulimits: BTreeMap<String, u64>,
}

/// A value of the environment. Compose refuses a bare `true`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Scalar {
    Text(String),
    Number(i64),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Build {
    pub(crate) context: String,
    pub(crate) dockerfile: String,
    #[serde(default)]
    pub(crate) args: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Extends {
    pub(crate) file: String,
    pub(crate) service: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dependency {
    pub(crate) condition: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Healthcheck {
    pub(crate) test: Vec<String>,
    pub(crate) interval: String,
    pub(crate) timeout: String,
    pub(crate) retries: u32,
    pub(crate) start_period: Option<String>,
}

impl Scalar {
    /// The value that the container receives.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

impl File {
    /// Merges `other` into this file, like `-f this -f other`.
    pub(crate) fn merge(&mut self, other: Self) {
        for (name, service) in other.services {
            self.services.entry(name).or_default().merge(service);
        }
        self.volumes.extend(other.volumes);
    }
}

impl Service {
    /// Merges `other` into this service.
    pub(crate) fn merge(&mut self, other: Self) {
        self.image = other.image.or(self.image.take());
        self.build = other.build.or(self.build.take());
        self.extends = other.extends.or(self.extends.take());
        self.healthcheck = other.healthcheck.or(self.healthcheck.take());
        self.hostname = other.hostname.or(self.hostname.take());
        self.restart = other.restart.or(self.restart.take());
        self.mem_limit = other.mem_limit.or(self.mem_limit.take());
        self.cpus = other.cpus.or(self.cpus.take());
        self.shm_size = other.shm_size.or(self.shm_size.take());
        self.stop_grace_period = other.stop_grace_period.or(self.stop_grace_period.take());
        self.read_only |= other.read_only;
        if !other.command.is_empty() {
            self.command = other.command;
        }
        self.environment.extend(other.environment);
        self.depends_on.extend(other.depends_on);
        self.ulimits.extend(other.ulimits);
        for (mine, others) in [
            (&mut self.ports, other.ports),
            (&mut self.volumes, other.volumes),
            (&mut self.profiles, other.profiles),
            (&mut self.extra_hosts, other.extra_hosts),
            (&mut self.tmpfs, other.tmpfs),
            (&mut self.cap_drop, other.cap_drop),
            (&mut self.security_opt, other.security_opt),
        ] {
            mine.extend(others);
        }
    }

    /// The memory limit, in bytes.
    pub(crate) fn memory(&self) -> Option<u64> {
        bytes(self.mem_limit.as_deref()?)
    }

    /// The images of this service: its own, or those that it is built from.
    pub(crate) fn images(&self) -> Vec<&str> {
        let base = self.build.as_ref().and_then(|build| build.args.get("BASE"));
        self.image.iter().chain(base).map(String::as_str).collect()
    }
}

/// Parses mebibytes or gibibytes: `64m`, `1g`.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let factor = match unit {
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => return None,
    };
    Some(number.parse::<u64>().ok()? * factor)
}
