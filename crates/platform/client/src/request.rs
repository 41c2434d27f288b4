//! A request, from its parts to its response.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use kennel_core::{Backoff, BoxError};
use kennel_telemetry::as_i64;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};
use url::Url;

use crate::Client;
use crate::attempt::Attempt;
use crate::breaker::Permit;
use crate::error::ClientError;
use crate::follow::Hop;
use crate::request_body::{RequestBody, StreamBody};
use crate::response::Response;

/// A request to an upstream.
///
/// It is retried after a transient error if its method is idempotent, or if [`retry`](Self::retry) allows it, and never
/// after a streamed body has begun. A redirect to another origin does not get the headers `Authorization` and `Cookie`, and
/// no header whose value is marked as [sensitive](HeaderValue::set_sensitive).
#[must_use]
pub struct RequestBuilder {
    client: Client,
    hop: Hop,
    accepted: Vec<StatusCode>,
    is_idempotent: bool,
    max_bytes: u64,
    timeout: Option<Duration>,
}

impl RequestBuilder {
    pub(crate) fn new(client: Client, method: Method, url: Url) -> Self {
        let (is_idempotent, max_bytes) = (method.is_idempotent(), client.inner.config.max_bytes);
        let hop = Hop { method, url, headers: HeaderMap::new(), body: RequestBody::Bytes(Bytes::new()) };
        Self { client, hop, accepted: Vec::new(), is_idempotent, max_bytes, timeout: None }
    }

    /// Sets a header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.hop.headers.insert(name, value);
        self
    }

    /// Sets these headers, in addition to those that are set already.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.hop.headers.extend(headers);
        self
    }

    /// Sets the body.
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.hop.body = RequestBody::Bytes(bytes.into());
        self
    }

    /// Sets a body that is sent while it is read. Set `Content-Length` if the length is known. An error of the stream ends
    /// the call with [`ClientError::RequestBody`].
    pub fn stream(mut self, chunks: impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static) -> Self {
        self.hop.body = RequestBody::Stream(StreamBody::new(chunks.boxed()));
        self
    }

    /// Sets the timeout of one attempt, including the bodies of request and response. The deadline of all attempts is at
    /// least as long.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the maximum size of the response's body.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Accepts this status. Without a call, every 2xx is accepted; with one, only the named ones. A redirect that is
    /// accepted is not followed. Every other status is a [`ClientError::Status`].
    pub fn accept(mut self, status: StatusCode) -> Self {
        self.accepted.push(status);
        self
    }

    /// Declares that the upstream may receive the request several times, such as a POST with an idempotency key.
    pub fn retry(mut self) -> Self {
        self.is_idempotent = true;
        self
    }

    /// Sends the request, and returns the response as soon as its head arrives. Errors of the body are not retried.
    pub async fn send(self) -> Result<Response, ClientError> {
        self.run(async |response| Ok(response)).await
    }

    /// Sends the request, and returns the complete response.
    pub async fn fetch(self) -> Result<http::Response<Bytes>, ClientError> {
        self.run(Response::collect).await
    }

    /// Sends the request, and parses the body of the response as JSON.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let response = self.fetch().await?;
        serde_json::from_slice(response.body()).map_err(|error| ClientError::Malformed(error.into()))
    }

    /// Sends the request and reads its response, with retries.
    async fn run<T>(self, read: impl AsyncFn(Response) -> Result<T, ClientError>) -> Result<T, ClientError> {
        let config = &self.client.inner.config;
        self.client.inner.policy.check(&self.hop.url)?;
        let timeout = self.timeout.unwrap_or(config.timeout);
        let deadline = Instant::now() + config.deadline.max(self.timeout.unwrap_or_default());
        let backoff = Backoff::new(config.backoff.saturating_mul(2), config.max_backoff);
        let mut attempts = 0;
        loop {
            let permit = self.client.inner.breaker.permit().map_err(ClientError::open_circuit)?;
            let result = match self.attempt(permit, deadline.min(Instant::now() + timeout)).await {
                Ok(response) => read(response).await,
                Err(error) => Err(error),
            };
            let error = match result {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            attempts += 1;
            let pause = error.retry_after().unwrap_or_else(|| backoff.delay(attempts));
            let may_retry = self.is_idempotent && self.hop.body.is_complete() && error.is_transient();
            if attempts > config.max_retries || !may_retry || Instant::now() + pause >= deadline {
                return Err(error);
            }
            let upstream = self.client.inner.upstream;
            tracing::debug!(upstream, attempts, error = &error as &dyn std::error::Error, "retrying");
            sleep(pause).await;
        }
    }

    async fn attempt(&self, permit: Permit, deadline: Instant) -> Result<Response, ClientError> {
        let mut attempt = Attempt::start(&self.client.inner, self.hop.method.as_str(), &self.hop.url, permit, deadline);
        let response = attempt.run(self.respond()).await?;
        Ok(Response::new(response, attempt, self.max_bytes))
    }

    async fn respond(&self) -> Result<reqwest::Response, ClientError> {
        let accepts = |status: StatusCode| {
            if self.accepted.is_empty() { status.is_success() } else { self.accepted.contains(&status) }
        };
        let response = self.hop.clone().send(&self.client.inner, accepts).await?;
        let status = response.status();
        tracing::Span::current().record("http.response.status_code", as_i64(status.as_u16()));
        if !accepts(status) {
            return Err(ClientError::Status { status, retry_after: retry_after(response.headers()) });
        }
        if response.content_length().is_some_and(|announced| announced > self.max_bytes) {
            return Err(ClientError::TooLarge { limit: self.max_bytes });
        }
        Ok(response)
    }
}

impl std::fmt::Debug for RequestBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestBuilder").field("method", &self.hop.method).finish_non_exhaustive()
    }
}

/// Parses `Retry-After` in seconds. Dates are ignored: they are rare and depend on the upstream's clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
