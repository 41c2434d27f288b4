//! `dogs healthcheck`: for containers, which have no curl.

use std::process::ExitCode;

use anyhow::Context as _;
use kennel_http::client::{Client, ClientConfig, ClientMetrics};
use kennel_telemetry::metrics;
use url::Url;

use super::out::say;
use crate::config::DogsSettings;

/// How much of an answer is read.
const MAX_BYTES: u64 = 64 * 1024;

/// Asks `url`, or the metrics port of the settings, and says what it found.
pub(super) async fn run(settings: &DogsSettings, url: Option<String>) -> anyhow::Result<ExitCode> {
    let url = url.unwrap_or_else(|| format!("http://localhost:{}/ready", settings.server.prometheus_port));
    let url = Url::parse(&url).context("--url")?;
    let config = ClientConfig {
        allow_private: true,
        timeout_ms: 2_000,
        deadline_ms: 2_000,
        max_retries: 0,
        ..ClientConfig::default()
    };
    let client = Client::new("dogs", &config, &ClientMetrics::register(&metrics::registry())?)?;
    match client.download(&url, MAX_BYTES).await {
        Ok(_) => {
            say("ready")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            eprintln!("not ready: {error}");
            Ok(ExitCode::FAILURE)
        }
    }
}
