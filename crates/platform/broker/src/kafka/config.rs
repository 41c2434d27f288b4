//! Checks the settings of Kafka, and converts them to those of its driver.

use kennel_config::{HumanDuration, Problems, Secret};
use rdkafka::ClientConfig;

use super::topics::{NAME_RULE, is_name};
use crate::config::{Auth, KafkaConfig, Route, topic_key};

impl KafkaConfig {
    /// Adds the problems of a cluster that is used.
    pub(crate) fn check_as_broker(&self, problems: &mut Problems) {
        if !self.kafka_brokers.as_deref().unwrap_or_default().split(',').all(is_address) {
            problems.add("kafka_brokers", "must be host:port, several with commas");
        }
        if !self.prefix.is_empty() && !is_name(&self.prefix) {
            problems.add("broker_prefix", NAME_RULE);
        }
        self.check_authentication(problems);
        self.check_tls(problems);
        for route in &self.routes {
            if let Some(problem) = self.route_problem(route) {
                problems.add(&topic_key(&route.event), problem);
            }
        }
        self.check_tuning(problems);
    }

    fn check_authentication(&self, problems: &mut Problems) {
        let is_set = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
        let has_user = is_set(self.kafka_username.as_deref());
        let has_password = is_set(self.kafka_password.as_ref().map(Secret::expose));
        if self.kafka_auth_type == Auth::None {
            if has_user || has_password {
                let which = "must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 where there is a user or a password";
                problems.add("kafka_auth_type", which);
            }
            return;
        }
        for (key, _) in [("kafka_username", has_user), ("kafka_password", has_password)].iter().filter(|(_, set)| !set)
        {
            problems.add(key, "must be set: the authentication requires it");
        }
        if self.kafka_auth_type == Auth::Plain && !self.kafka_tls_enabled && !self.kafka_tls_allow_insecure {
            let why = "PLAIN sends the password as it is: turn `kafka_tls_enabled` on, or `kafka_tls_allow_insecure`";
            problems.add("kafka_auth_type", why);
        }
    }

    fn check_tls(&self, problems: &mut Problems) {
        if self.kafka_tls_skip_verify && !self.kafka_tls_allow_insecure {
            let why = "lets anyone pose as the cluster: refused without `kafka_tls_allow_insecure`";
            problems.add("kafka_tls_skip_verify", why);
        }
        if !self.kafka_tls_enabled && (self.kafka_tls_skip_verify || self.kafka_tls_ca_cert.is_some()) {
            problems.add("kafka_tls_enabled", "must be on where other settings of TLS are made");
        }
        if self.kafka_tls_ca_cert.as_ref().is_some_and(|file| !file.is_file()) {
            problems.add("kafka_tls_ca_cert", "must be a file");
        }
    }

    fn route_problem(&self, route: &Route) -> Option<&'static str> {
        let is_shared = |other: &Route| other.topic != route.topic && (other.to == route.to || other.topic == route.to);
        if !is_name(&route.to) {
            Some(NAME_RULE)
        } else if route.to == route.topic {
            Some("must not be the topic that its events have anyway")
        } else {
            self.routes.iter().any(is_shared).then_some("must not be a topic of events that have another topic")
        }
    }

    fn check_tuning(&self, problems: &mut Problems) {
        let (millis, secs) = (HumanDuration::from_millis, HumanDuration::from_secs);
        for (key, duration, range) in [
            ("kafka_publish_timeout", self.tuning.publish_timeout, secs(1)..=secs(300)),
            ("kafka_session_timeout", self.tuning.session_timeout, secs(6)..=secs(300)),
            ("kafka_commit_interval", self.tuning.commit_interval, millis(10)..=secs(60)),
            ("kafka_revoke_grace", self.tuning.revoke_grace, secs(0)..=secs(30)),
        ] {
            problems.check_range(key, HumanDuration(duration), range);
        }
    }

    /// Returns the settings that all clients share.
    pub(super) fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", self.kafka_brokers.as_deref().unwrap_or_default());
        client.set("client.id", "kennel");
        client.set("socket.keepalive.enable", "true");
        // Topics are created here, as they are configured.
        client.set("allow.auto.create.topics", "false");
        client.set("reconnect.backoff.ms", "100").set("reconnect.backoff.max.ms", "2000");
        let sasl = self.kafka_auth_type != Auth::None;
        client.set(
            "security.protocol",
            match (sasl, self.kafka_tls_enabled) {
                (false, false) => "plaintext",
                (false, true) => "ssl",
                (true, false) => "sasl_plaintext",
                (true, true) => "sasl_ssl",
            },
        );
        if sasl {
            client.set("sasl.mechanism", mechanism(self.kafka_auth_type));
            client.set("sasl.username", self.kafka_username.as_deref().unwrap_or_default());
            let password = self.kafka_password.as_ref().map(Secret::expose);
            client.set("sasl.password", password.unwrap_or_default());
        }
        if let Some(file) = &self.kafka_tls_ca_cert {
            client.set("ssl.ca.location", file.to_string_lossy());
        }
        if self.kafka_tls_enabled && self.kafka_tls_skip_verify {
            client.set("enable.ssl.certificate.verification", "false");
            client.set("ssl.endpoint.identification.algorithm", "none");
        }
        client
    }
}

/// Returns the name of the mechanism of SASL.
const fn mechanism(auth: Auth) -> &'static str {
    match auth {
        Auth::None => "none",
        Auth::Plain => "PLAIN",
        Auth::ScramSha256 => "SCRAM-SHA-256",
        Auth::ScramSha512 => "SCRAM-SHA-512",
    }
}

fn is_address(text: &str) -> bool {
    let host_and_port = text.trim().rsplit_once(':');
    host_and_port.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
