//! Metrics of requests to providers.

use gifs_domain::catalogue::{FoundPage, Provider, ProviderError};
use prometheus::{IntCounterVec, Opts, Registry};

/// Metrics of all providers. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct ProviderMetrics {
    requests: IntCounterVec,
}

impl ProviderMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new("gif_provider_requests_total", "Requests for GIFs by provider and outcome, also those not sent"),
            &["provider", "outcome"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        Ok(Self { requests })
    }

    pub(super) fn record(&self, provider: Provider, result: &Result<FoundPage, ProviderError>) {
        let outcome = match result {
            Ok(page) if page.gifs.is_empty() => "empty",
            Ok(_) => "ok",
            Err(ProviderError::OverQuota { .. }) => "over_quota",
            Err(ProviderError::KeyRefused) => "key_refused",
            Err(ProviderError::Malformed(_)) => "malformed",
            Err(_) => "unavailable",
        };
        self.requests.with_label_values(&[provider.name(), outcome]).inc();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn names_and_outcomes_are_pinned() {
        let registry = Registry::new();
        let metrics = ProviderMetrics::register(&registry).unwrap();
        let results = [
            Ok(FoundPage::default()),
            Err(ProviderError::Unavailable { retry_after: None, source: None }),
            Err(ProviderError::OverQuota { retry_after: Duration::ZERO }),
            Err(ProviderError::KeyRefused),
            Err(ProviderError::Malformed("".into())),
        ];
        for result in &results {
            metrics.record(Provider::Klipy, result);
        }
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for outcome in ["empty", "unavailable", "over_quota", "key_refused", "malformed"] {
            let line = format!("gif_provider_requests_total{{outcome=\"{outcome}\",provider=\"klipy\"}} 1");
            assert!(text.contains(&line), "{text}");
        }
    }
}
