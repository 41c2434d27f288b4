//! Settings of TLS.

use std::path::PathBuf;
use std::time::Duration;

use kennel_config::{Problems, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// TLS of a service's HTTP and gRPC servers. The port of metrics and health has none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TlsConfig {
    /// File with the certificate of HTTP and gRPC and its intermediates, in PEM. It is read again when it changes and at
    /// SIGHUP. Unset: no TLS.
    pub tls_cert: Option<PathBuf>,
    /// File with the private key of the certificate, in PEM.
    pub tls_key: Option<PathBuf>,
    /// File with CA certificates, in PEM: clients need a certificate that one of them has issued. Unset: clients need none.
    pub tls_client_ca: Option<PathBuf>,
    /// What is not a setting.
    #[serde(skip)]
    pub tuning: TlsTuning,
}

/// Limits of TLS that are not settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsTuning {
    /// How long a handshake may take, from the accepted connection on.
    pub handshake_timeout: Duration,
    /// How often the files are read. Their contents are compared: the links and renames with which files are replaced
    /// differ, and so do the notifications of file systems.
    pub reload_interval: Duration,
}

impl Default for TlsTuning {
    fn default() -> Self {
        Self { handshake_timeout: Duration::from_secs(10), reload_interval: Duration::from_secs(5) }
    }
}

impl Section for TlsConfig {
    const TITLE: &'static str = "TLS";

    fn check(&self, problems: &mut Problems) {
        let files = [("tls_cert", &self.tls_cert), ("tls_key", &self.tls_key), ("tls_client_ca", &self.tls_client_ca)];
        for (key, file) in files {
            if file.as_ref().is_some_and(|file| !file.is_file()) {
                problems.add(key, "must be a file");
            }
        }
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => problems.add("tls_key", "must be set, because TLS_CERT is"),
            (None, Some(_)) => problems.add("tls_cert", "must be set, because TLS_KEY is"),
            (None, None) if self.tls_client_ca.is_some() => {
                problems.add("tls_client_ca", "has no effect without TLS_CERT and TLS_KEY");
            }
            _ => {}
        }
    }
}

impl TlsConfig {
    /// Whether the servers have TLS.
    pub const fn is_enabled(&self) -> bool {
        self.tls_cert.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(cert: Option<&str>, key: Option<&str>, ca: Option<&str>) -> Vec<String> {
        let path = |text: Option<&str>| text.map(PathBuf::from);
        let config =
            TlsConfig { tls_cert: path(cert), tls_key: path(key), tls_client_ca: path(ca), ..TlsConfig::default() };
        let errors = config.validate().err().map(|errors| errors.0).unwrap_or_default();
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn certificate_and_key_belong_together_and_exist() {
        let file = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        assert!(problems(None, None, None).is_empty());
        assert!(problems(file, file, file).is_empty());
        assert_eq!(problems(file, None, None), ["TLS_KEY (not set): must be set, because TLS_CERT is"]);
        assert_eq!(problems(None, file, None), ["TLS_CERT (not set): must be set, because TLS_KEY is"]);
        assert_eq!(problems(None, None, file).len(), 1);
        assert_eq!(problems(Some("/no/such"), Some("/no/such"), Some("/no/such")).len(), 3);
    }
}
