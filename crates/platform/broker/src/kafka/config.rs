//! Where the Kafka cluster is, how to get in, and how topics are made.

use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use rdkafka::ClientConfig;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::topics::{NAME_RULE, is_name};

/// How a client proves who it is, as the variable `KAFKA_AUTH_TYPE` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Auth {
    /// Not at all.
    #[default]
    #[serde(rename = "none")]
    None,
    /// User name and password as they are.
    #[serde(rename = "PLAIN")]
    Plain,
    /// The password is proved, not sent.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// As before, with a longer hash.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Auth {
    /// Every way there is.
    pub const ALL: &'static [Self] = &[Self::None, Self::Plain, Self::ScramSha256, Self::ScramSha512];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// A name that is no way to prove who one is.
#[derive(Debug, thiserror::Error)]
#[error("must be none, PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")]
pub struct UnknownAuth;

impl FromStr for Auth {
    type Err = UnknownAuth;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.iter().find(|auth| auth.name().eq_ignore_ascii_case(text));
        named.copied().ok_or(UnknownAuth)
    }
}

/// Encryption of connections.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Encrypt connections.
    pub enabled: bool,
    /// A PEM file with the authorities to trust; those of the machine without it.
    pub ca_cert: Option<PathBuf>,
    /// Do not look at whose certificate it is. Refused unless `allow_insecure` says so too.
    pub skip_verify: bool,
    /// Let settings pass that give secrets away to whoever is on the network.
    pub allow_insecure: bool,
}

/// Sends the events of one name to a topic of their own.
///
/// Who reads `topic` reads these as well and finds `topic` in them. Kafka keeps the order of a key inside one topic:
/// events whose order matters to each other belong in one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The name of the events.
    pub event: String,
    /// The topic that they have.
    pub topic: String,
    /// The topic in Kafka that they go to instead.
    pub to: String,
}

impl Route {
    /// What is wrong with where it leads, if anything.
    pub fn problem(&self) -> Option<&'static str> {
        if !is_name(&self.to) {
            return Some(NAME_RULE);
        }
        (self.to == self.topic).then_some("must not be the topic that its events have anyway")
    }
}

/// A Kafka cluster and what is asked of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConfig {
    /// Where to start looking for the cluster: `host:port`, several with commas. Has to be set.
    pub brokers: String,
    /// What the names of topics and groups begin with, and a dot; nothing when it is empty.
    pub prefix: String,
    /// How to prove who one is.
    pub auth: Auth,
    /// The user, where `auth` needs one.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<SecretString>,
    /// Encryption.
    pub tls: Tls,
    /// Events that go to topics of their own.
    pub routes: Vec<Route>,
    /// The topics whose dead letters are shown, beside those that this process is a consumer of.
    pub topics: Vec<String>,
    /// How topics are made and events held.
    pub tuning: Tuning,
}

/// What has a sensible default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tuning {
    /// Partitions of a topic that is made. Topics that are there keep theirs.
    pub partitions: NonZeroU16,
    /// Copies of a topic that is made; what the cluster does by default without it.
    pub replication: Option<NonZeroU16>,
    /// How long publishing, and making a topic, may take before it fails, in milliseconds.
    pub publish_timeout_ms: u64,
    /// How long a member may be silent before its partitions go to others, in milliseconds.
    pub session_timeout_ms: u64,
    /// How often what is settled is committed, in milliseconds; the most that a crash lets come again.
    pub commit_interval_ms: u64,
    /// How long a member that has to give up a partition waits for what it holds of it, in milliseconds.
    pub revoke_grace_ms: u64,
    /// How many events a partition may be read ahead of the oldest unsettled one.
    pub window: NonZeroUsize,
    /// How many bytes of unsettled events are held for a partition.
    pub window_bytes: NonZeroUsize,
}

impl Default for Tuning {
    fn default() -> Self {
        let size = |number| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
        Self {
            partitions: NonZeroU16::new(3).unwrap_or(NonZeroU16::MIN),
            replication: None,
            publish_timeout_ms: 10_000,
            session_timeout_ms: 10_000,
            commit_interval_ms: 500,
            revoke_grace_ms: 1_000,
            window: size(4_096),
            window_bytes: size(8 * 1024 * 1024),
        }
    }
}

impl Tuning {
    pub(super) const fn publish_timeout(&self) -> Duration {
        Duration::from_millis(self.publish_timeout_ms)
    }

    pub(super) const fn commit_interval(&self) -> Duration {
        Duration::from_millis(self.commit_interval_ms)
    }

    pub(super) const fn revoke_grace(&self) -> Duration {
        Duration::from_millis(self.revoke_grace_ms)
    }
}

impl KafkaConfig {
    /// A cluster that asks no one who they are.
    pub fn at(brokers: impl Into<String>) -> Self {
        Self { brokers: brokers.into(), ..Self::default() }
    }

    /// Every setting that is missing or wrong, such as `kafka.brokers`, and what is wrong with it. Shows no values.
    pub fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let mut problems = Vec::new();
        if !self.brokers.split(',').all(is_address) {
            problems.push(("kafka.brokers", "must be host:port, several with commas"));
        }
        if !self.prefix.is_empty() && !is_name(&self.prefix) {
            problems.push(("kafka.prefix", NAME_RULE));
        }
        self.identity_problems(&mut problems);
        self.tls_problems(&mut problems);
        self.route_problems(&mut problems);
        self.tuning.problems(&mut problems);
        problems
    }

    fn identity_problems(&self, problems: &mut Vec<(&'static str, &'static str)>) {
        let is_set = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
        let has_user = is_set(self.username.as_deref());
        let has_password = is_set(self.password.as_ref().map(SecretString::expose_secret));
        if self.auth == Auth::None {
            if has_user || has_password {
                let which = "must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 where there is a user or a password";
                problems.push(("kafka.auth_type", which));
            }
            return;
        }
        if !has_user {
            problems.push(("kafka.username", "must be set, for the kind of authentication asks for it"));
        }
        if !has_password {
            problems.push(("kafka.password", "must be set, for the kind of authentication asks for it"));
        }
        if self.auth == Auth::Plain && !self.tls.enabled && !self.tls.allow_insecure {
            let why = "PLAIN sends the password as it is: turn `kafka_tls_enabled` on, or `kafka_tls_allow_insecure`";
            problems.push(("kafka.auth_type", why));
        }
    }

    fn tls_problems(&self, problems: &mut Vec<(&'static str, &'static str)>) {
        let Tls { enabled, ca_cert, skip_verify, allow_insecure } = &self.tls;
        if *skip_verify && !allow_insecure {
            let why = "lets anyone pose as the cluster: refused without `kafka_tls_allow_insecure`";
            problems.push(("kafka.tls_skip_verify", why));
        }
        if !enabled && (*skip_verify || ca_cert.is_some()) {
            problems.push(("kafka.tls_enabled", "must be on where other settings of TLS are made"));
        }
        if ca_cert.as_ref().is_some_and(|file| !file.is_file()) {
            problems.push(("kafka.tls_ca_cert", "must be a file"));
        }
    }

    fn route_problems(&self, problems: &mut Vec<(&'static str, &'static str)>) {
        let is_shared = |route: &Route| {
            let foreign = |other: &Route| other.topic != route.topic;
            self.routes.iter().any(|other| foreign(other) && (other.to == route.to || other.topic == route.to))
        };
        let wrong = self.routes.iter().filter_map(Route::problem);
        problems.extend(wrong.map(|problem| ("kafka.routes", problem)));
        if self.routes.iter().any(is_shared) {
            problems.push(("kafka.routes", "must not lead to topics that other events are found in"));
        }
    }

    /// What every client has in common.
    pub(super) fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.brokers);
        client.set("client.id", "kennel");
        client.set("socket.keepalive.enable", "true");
        // Topics are created here, as they are configured.
        client.set("allow.auto.create.topics", "false");
        client.set("reconnect.backoff.ms", "100").set("reconnect.backoff.max.ms", "2000");
        let sasl = self.auth != Auth::None;
        client.set(
            "security.protocol",
            match (sasl, self.tls.enabled) {
                (false, false) => "plaintext",
                (false, true) => "ssl",
                (true, false) => "sasl_plaintext",
                (true, true) => "sasl_ssl",
            },
        );
        if sasl {
            client.set("sasl.mechanism", self.auth.name());
            client.set("sasl.username", self.username.as_deref().unwrap_or_default());
            let password = self.password.as_ref().map(SecretString::expose_secret);
            client.set("sasl.password", password.unwrap_or_default());
        }
        if let Some(file) = &self.tls.ca_cert {
            client.set("ssl.ca.location", file.to_string_lossy());
        }
        if self.tls.enabled && self.tls.skip_verify {
            client.set("enable.ssl.certificate.verification", "false");
            client.set("ssl.endpoint.identification.algorithm", "none");
        }
        client
    }
}

impl Tuning {
    fn problems(&self, problems: &mut Vec<(&'static str, &'static str)>) {
        if !(1_000..=300_000).contains(&self.publish_timeout_ms) {
            problems.push(("kafka.publish_timeout_ms", "must be 1s to 5m"));
        }
        if !(6_000..=300_000).contains(&self.session_timeout_ms) {
            problems.push(("kafka.session_timeout_ms", "must be 6s to 5m"));
        }
        if !(10..=60_000).contains(&self.commit_interval_ms) {
            problems.push(("kafka.commit_interval_ms", "must be 10ms to 1m"));
        }
        if self.revoke_grace_ms > 30_000 {
            problems.push(("kafka.revoke_grace_ms", "must be 0s to 30s"));
        }
    }
}

fn is_address(text: &str) -> bool {
    let host_and_port = text.trim().rsplit_once(':');
    host_and_port.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
