//! A client for other services: bounded in time, size and tries, and choosy about where it connects.

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
use kennel_telemetry::{number, propagation};
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
/// A call is tried again, after a growing and jittered pause or the one that the upstream asked for, when it failed
/// for want of an answer. All tries together end at the deadline. After too many failures in a row no call is made
/// for a while; see [`Breaker`].
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
    /// A client of the service that logs and metrics call `upstream`.
    pub fn new(upstream: &'static str, config: &ClientConfig, metrics: &ClientMetrics) -> Result<Self, BuildError> {
        // Another part of the process may have installed it already; either way there is one.
        rustls::crypto::ring::default_provider().install_default().ok();
        let policy = AddressPolicy::new(config.allow_private, &config.allowed_addresses);
        let http = reqwest::Client::builder()
            .user_agent(config.user_agent.as_str())
            .no_proxy()
            .connect_timeout(config.connect_timeout())
            .dns_resolver(resolver::Filtered::new(policy.clone()))
            .redirect(redirects(policy.clone(), config.max_redirects))
            .build()?;
        Ok(Self {
            upstream,
            config: config.clone(),
            policy,
            http,
            breaker: Breaker::new(config.breaker_failures, config.breaker_pause()),
            metrics: metrics.clone(),
        })
    }

    /// The body at `url`. Fails with [`ClientError::TooLarge`] as soon as more than `max_bytes` are announced or seen.
    pub async fn download(&self, url: &Url, max_bytes: u64) -> Result<Bytes, ClientError> {
        self.policy.check(url)?;
        let deadline = Instant::now() + self.config.deadline();
        let mut tries = 0;
        loop {
            let permit = self.breaker.permit().map_err(ClientError::open_circuit)?;
            let error = match timeout_at(deadline, self.try_once(url, max_bytes, permit)).await {
                Ok(Ok(body)) => return Ok(body),
                Ok(Err(error)) => error,
                Err(_) => return Err(ClientError::Timeout),
            };
            tries += 1;
            let pause = error.retry_after().unwrap_or_else(|| self.backoff(tries));
            if tries > self.config.max_retries || !error.is_transient() || Instant::now() + pause >= deadline {
                return Err(error);
            }
            tracing::debug!(upstream = self.upstream, tries, error = &error as &dyn std::error::Error, "trying again");
            sleep(pause).await;
        }
    }

    /// The JSON at `url`, of at most the configured size.
    pub async fn get_json<T: DeserializeOwned>(&self, url: &Url) -> Result<T, ClientError> {
        let body = self.download(url, self.config.max_json_bytes).await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Malformed(error.into()))
    }

    /// A pause of up to `base * 2^tries`, at random, so that many clients do not come back together.
    fn backoff(&self, tries: u32) -> Duration {
        let most = self.config.backoff().saturating_mul(1 << tries.min(10)).min(self.config.max_backoff());
        most.mul_f64(rand::random_range(0.5..=1.0))
    }

    async fn try_once(&self, url: &Url, max_bytes: u64, permit: Permit) -> Result<Bytes, ClientError> {
        let span = tracing::info_span!(
            "upstream",
            otel.name = "GET",
            otel.kind = "client",
            otel.status_code = Empty,
            upstream = self.upstream,
            http.request.method = "GET",
            http.response.status_code = Empty,
            server.address = url.host_str(),
            server.port = url.port_or_known_default().map(number),
        );
        let began = Instant::now();
        let fetch = timeout(self.config.timeout(), self.fetch(url, max_bytes)).instrument(span.clone());
        let result = fetch.await.unwrap_or(Err(ClientError::Timeout));
        if result.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        span.in_scope(|| self.metrics.record(self.upstream, Outcome::of(&result), began.elapsed()));
        permit.settle(!result.as_ref().is_err_and(ClientError::is_of_upstream));
        result
    }

    async fn fetch(&self, url: &Url, max_bytes: u64) -> Result<Bytes, ClientError> {
        let mut headers = HeaderMap::new();
        propagation::inject(&mut headers);
        let mut response = self.http.get(url.clone()).headers(headers).send().await?;
        let status = response.status();
        tracing::Span::current().record("http.response.status_code", number(status.as_u16()));
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

/// Follows a few redirects, each checked like the first URL.
fn redirects(policy: AddressPolicy, most: usize) -> redirect::Policy {
    redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() > most {
            return attempt.error(Refusal::Redirects);
        }
        match policy.check(attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(refusal) => attempt.error(refusal),
        }
    })
}

/// `Retry-After` in seconds; dates are rare and need the upstream's clock to be right.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
