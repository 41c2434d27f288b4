//! A client for other services with timeouts, a size limit, retries, a circuit breaker and an SSRF policy.

mod attempt;
pub mod breaker;
pub mod config;
pub mod contract;
pub mod error;
mod follow;
pub mod metrics;
#[cfg(feature = "mock")]
pub mod mock;
pub mod policy;
mod redact;
pub mod request;
mod request_body;
mod resolver;
pub mod response;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};
use reqwest::redirect;
use serde::de::DeserializeOwned;
use url::Url;

pub use self::breaker::Breaker;
pub use self::config::ClientConfig;
pub use self::contract::{ApiClient, ApiConfig, Authentication};
pub use self::error::{BuildError, ClientError};
pub use self::metrics::ClientMetrics;
pub use self::policy::{AddressPolicy, Refusal};
pub use self::request::RequestBuilder;
pub use self::response::Response;

/// Calls one upstream. Clones share connections, breaker and metrics.
///
/// A call that failed with a transient error is retried, after an exponential backoff with jitter or after the
/// upstream's `Retry-After`, if the request may be sent twice; see [`RequestBuilder`]. The deadline covers all attempts.
/// After too many failures in a row calls fail at once for a while; see [`Breaker`].
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) inner: Arc<ClientInner>,
}

#[derive(Debug)]
pub(crate) struct ClientInner {
    pub(crate) upstream: &'static str,
    pub(crate) config: ClientConfig,
    pub(crate) policy: AddressPolicy,
    pub(crate) http: reqwest::Client,
    pub(crate) breaker: Breaker,
    pub(crate) metrics: ClientMetrics,
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
            // `follow` does it: it checks each address and removes secrets.
            .redirect(redirect::Policy::none())
            .referer(false)
            .build()?;
        let inner = ClientInner {
            upstream,
            config: config.clone(),
            policy,
            http,
            breaker: Breaker::new(config.breaker_failures, config.breaker_pause),
            metrics: metrics.clone(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Starts a request.
    pub fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        RequestBuilder::new(self.clone(), method, url.clone())
    }

    /// Starts a GET request.
    pub fn get(&self, url: &Url) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// Downloads the body at `url`. Any status but 200 is an error. Fails with [`ClientError::TooLarge`] as soon as
    /// `Content-Length` or the received bytes exceed `max_bytes`.
    pub async fn download(&self, url: &Url, max_bytes: u64) -> Result<Bytes, ClientError> {
        let response = self.get(url).accept(StatusCode::OK).max_bytes(max_bytes).fetch().await?;
        Ok(response.into_body())
    }

    /// Downloads and parses the JSON at `url`, up to the configured size.
    pub async fn get_json<T: DeserializeOwned>(&self, url: &Url) -> Result<T, ClientError> {
        self.get(url).accept(StatusCode::OK).json().await
    }
}
