//! Decorator that protects a provider, and ourselves from it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gifs_domain::catalogue::{FindRequest, FoundPage, GifProvider, Provider, ProviderError};
use kennel_client::Breaker;

use super::metrics::ProviderMetrics;
use super::quota::{Quota, SharedCounts};

/// Failures in a row after which a provider is not asked for a while.
const FAILURES: u32 = 3;
/// How long it is not asked.
const PAUSE: Duration = Duration::from_secs(30);

/// Decorator that asks a provider only within its quota, and not while it fails. Records metrics.
pub(super) struct GuardedProvider {
    inner: Arc<dyn GifProvider>,
    quota: Quota,
    breaker: Breaker,
    metrics: ProviderMetrics,
}

impl GuardedProvider {
    /// `limit` is the number of requests per hour, of which all replicas count theirs in `shared`; 0 is no limit.
    pub(super) fn new(inner: Arc<dyn GifProvider>, limit: u32, shared: SharedCounts, metrics: ProviderMetrics) -> Self {
        let (quota, breaker) = (Quota::new(limit, Duration::from_hours(1), shared), Breaker::new(FAILURES, PAUSE));
        Self { inner, quota, breaker, metrics }
    }

    async fn ask(&self, request: &FindRequest) -> Result<FoundPage, ProviderError> {
        let open = |retry_after| ProviderError::Unavailable {
            retry_after: Some(retry_after),
            source: Some("the circuit is open".into()),
        };
        let permit = self.breaker.permit().map_err(open)?;
        self.quota.take().await.map_err(|retry_after| ProviderError::OverQuota { retry_after })?;
        let result = self.inner.find(request).await;
        if let Err(error) = &result {
            let error = error as &dyn Error;
            tracing::warn!(provider = self.provider().name(), error, "request to a provider of gifs failed");
        }
        if let Err(ProviderError::OverQuota { retry_after }) = &result {
            self.quota.pause(*retry_after);
        }
        permit.record(matches!(result, Ok(_) | Err(ProviderError::OverQuota { .. })));
        result
    }
}

#[async_trait]
impl GifProvider for GuardedProvider {
    fn provider(&self) -> Provider {
        self.inner.provider()
    }

    fn stores_media(&self) -> bool {
        self.inner.stores_media()
    }

    fn attribution(&self) -> &'static str {
        self.inner.attribution()
    }

    async fn find(&self, request: &FindRequest) -> Result<FoundPage, ProviderError> {
        let result = self.ask(request).await;
        self.metrics.record(self.provider(), &result);
        result
    }
}
