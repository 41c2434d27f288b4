//! A client for other services with timeouts, a size limit, retries, a circuit breaker and an SSRF policy.

pub mod breaker;
pub mod config;
pub mod error;
pub mod metrics;
pub mod policy;
mod resolver;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use kennel_core::Backoff;
use kennel_telemetry::{as_i64, propagation};
use reqwest::redirect;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::Instrument as _;
use tracing::field::Empty;
use url::Url;

pub use self::breaker::Breaker;
use self::breaker::Permit;
pub use self::config::ClientConfig;
pub use self::error::{BuildError, ClientError};
pub use self::metrics::ClientMetrics;
use self::metrics::Outcome;
pub use self::policy::{AddressPolicy, Refusal};

/// Calls one upstream. Clones share connections, breaker and metrics.
///
/// A call that failed with a transient error is retried, after an exponential backoff with jitter or after the
/// upstream's `Retry-After`. The deadline covers all attempts. After too many failures in a row calls fail at once for
/// a while; see [`Breaker`].
#[derive(Debug, Clone)]
pub struct Client {
    upstream: &'static str,
    config: ClientConfig,
    policy: AddressPolicy,
    http: reqwest::Client,
    breaker: Breaker,
    metrics: ClientMetrics,
}

impl Client {
    /// Creates a client for the service that is called `upstream` in logs and metrics.
    pub fn new(upstream: &'static str, config: &ClientConfig, metrics: &ClientMetrics) -> Result<Self, BuildError> {
        // Fails if another component of the process has installed one already, which is just as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let policy = AddressPolicy::new(config.allow_private, &config.allowed_addresses);
        let http = reqwest::Client::builder()
            .user_agent(config.user_agent.as_str())
            .no_proxy()
            .connect_timeout(config.connect_timeout)
            .dns_resolver(resolver::FilteredResolver::new(policy.clone()))
            .redirect(redirects(policy.clone(), config.max_redirects))
            .build()?;
        Ok(Self {
            upstream,
            config: config.clone(),
            policy,
            http,
            breaker: Breaker::new(config.breaker_failures, config.breaker_pause),
            metrics: metrics.clone(),
        })
    }

    /// Downloads the body at `url`. Fails with [`ClientError::TooLarge`] as soon as `Content-Length` or the received
    /// bytes exceed `max_bytes`.
    pub async fn download(&self, url: &Url, max_bytes: u64) -> Result<Bytes, ClientError> {
        self.policy.check(url)?;
        let deadline = Instant::now() + self.config.deadline;
        let mut attempts = 0;
        loop {
            let permit = self.breaker.permit().map_err(ClientError::open_circuit)?;
            let error = match timeout_at(deadline, self.attempt(url, max_bytes, permit)).await {
                Ok(Ok(body)) => return Ok(body),
                Ok(Err(error)) => error,
                Err(_) => return Err(ClientError::Timeout),
            };
            attempts += 1;
            let pause = error.retry_after().unwrap_or_else(|| self.backoff().delay(attempts));
            if attempts > self.config.max_retries || !error.is_transient() || Instant::now() + pause >= deadline {
                return Err(error);
            }
            tracing::debug!(upstream = self.upstream, attempts, error = &error as &dyn std::error::Error, "retrying");
            sleep(pause).await;
        }
    }

    /// Downloads and parses the JSON at `url`, up to the configured size.
    pub async fn get_json<T: DeserializeOwned>(&self, url: &Url) -> Result<T, ClientError> {
        let body = self.download(url, self.config.max_json_bytes).await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Malformed(error.into()))
    }

    /// The backoff between attempts: the first pause is up to twice as long as configured.
    const fn backoff(&self) -> Backoff {
        Backoff::new(self.config.backoff.saturating_mul(2), self.config.max_backoff)
    }

    async fn attempt(&self, url: &Url, max_bytes: u64, permit: Permit) -> Result<Bytes, ClientError> {
        let span = tracing::info_span!(
            "upstream",
            otel.name = "GET",
            otel.kind = "client",
            otel.status_code = Empty,
            upstream = self.upstream,
            http.request.method = "GET",
            http.response.status_code = Empty,
            server.address = url.host_str(),
            server.port = url.port_or_known_default().map(as_i64),
        );
        let started = Instant::now();
        let fetch = timeout(self.config.timeout, self.fetch(url, max_bytes)).instrument(span.clone());
        let result = fetch.await.unwrap_or(Err(ClientError::Timeout));
        if result.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        span.in_scope(|| self.metrics.record(self.upstream, Outcome::of(&result), started.elapsed()));
        permit.record(!result.as_ref().is_err_and(ClientError::is_upstream_failure));
        result
    }

    async fn fetch(&self, url: &Url, max_bytes: u64) -> Result<Bytes, ClientError> {
        let mut headers = HeaderMap::new();
        propagation::inject(&mut headers);
        let mut response = self.http.get(url.clone()).headers(headers).send().await?;
        let status = response.status();
        tracing::Span::current().record("http.response.status_code", as_i64(status.as_u16()));
        if status != StatusCode::OK {
            return Err(ClientError::Status { status, retry_after: retry_after(response.headers()) });
        }
        if response.content_length().is_some_and(|announced| announced > max_bytes) {
            return Err(ClientError::TooLarge { limit: max_bytes });
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await? {
            if (body.len() + chunk.len()) as u64 > max_bytes {
                return Err(ClientError::TooLarge { limit: max_bytes });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

/// Follows up to `max` redirects and checks each like the first URL.
fn redirects(policy: AddressPolicy, max: usize) -> redirect::Policy {
    redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > max {
            return attempt.error(Refusal::Redirects);
        }
        match policy.check(attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(refusal) => attempt.error(refusal),
        }
    })
}

/// Parses `Retry-After` in seconds. Dates are ignored: they are rare and depend on the upstream's clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
