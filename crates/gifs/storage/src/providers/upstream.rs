//! Requests to the API of a provider.

use std::time::Duration;

use gifs_domain::catalogue::{FindRequest, ProviderError};
use kennel_client::{Client, ClientConfig, ClientError, ClientMetrics};
use kennel_config::Secret;
use serde_json::Value;
use url::Url;

use crate::config::ProviderConfig;

/// Pause after a response that says that the quota is used up, but not until when.
const QUOTA_PAUSE: Duration = Duration::from_mins(5);

/// The API of one provider. Requests are not retried, because each counts towards the quota.
pub(super) struct Upstream {
    client: Client,
    base: Url,
    key: Secret,
}

impl Upstream {
    /// Creates the client; `name` is that of the provider in logs and metrics. The key is never shown.
    pub(super) fn new(
        name: &'static str,
        base: &str,
        key: &Secret,
        config: &ProviderConfig,
        metrics: &ClientMetrics,
    ) -> anyhow::Result<Self> {
        let timeout = config.gif_provider_timeout.get();
        let client = ClientConfig {
            timeout,
            deadline: timeout,
            max_retries: 0,
            // `GuardedProvider` has a breaker that also counts responses of another shape.
            breaker_failures: 0,
            allow_private: config.gif_provider_allow_private,
            propagate_trace: false,
            secrets: vec![key.clone()],
            max_redirects: 0,
            ..ClientConfig::default()
        };
        Ok(Self { client: Client::new(name, &client, metrics)?, base: base.parse()?, key: key.clone() })
    }

    pub(super) fn key(&self) -> &str {
        self.key.expose()
    }

    /// The URL of an endpoint, with a query.
    pub(super) fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url.query_pairs_mut().extend_pairs(query);
        url
    }

    /// The response to a GET request, which has to be JSON. A key that it contains is removed: what was found is stored,
    /// published and shown.
    pub(super) async fn get(&self, url: &Url) -> Result<Value, ProviderError> {
        let mut response = self.client.get_json(url).await.map_err(classify)?;
        redact(&mut response, &spellings(self.key()));
        Ok(response)
    }
}

/// What stands for a key.
const REDACTED: &str = "redacted";

/// A key as it is, and as it is in a path and in a query.
fn spellings(key: &str) -> Vec<String> {
    let in_query: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
    let in_path = Url::parse("a:/").ok().and_then(|mut url| {
        url.path_segments_mut().ok()?.push(key);
        url.path().rsplit('/').next().map(str::to_owned)
    });
    let mut spellings = vec![key.to_owned(), in_query];
    spellings.extend(in_path);
    spellings.dedup();
    spellings
}

fn redact(value: &mut Value, keys: &[String]) {
    match value {
        Value::String(text) => {
            for key in keys.iter().filter(|key| !key.is_empty()) {
                if text.contains(key.as_str()) {
                    *text = text.replace(key.as_str(), REDACTED);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| redact(value, keys)),
        Value::Object(fields) => fields.values_mut().for_each(|value| redact(value, keys)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The rating and the size as in queries.
pub(super) fn common(request: &FindRequest) -> (&'static str, u32) {
    (request.rating.name(), request.size.clamp(1, FindRequest::MAX_SIZE))
}

/// An error for a response of another shape.
pub(super) fn malformed(what: &'static str) -> ProviderError {
    ProviderError::Malformed(what.into())
}

fn classify(error: ClientError) -> ProviderError {
    let retry_after = error.retry_after();
    match &error {
        ClientError::Status { status, .. } => match status.as_u16() {
            429 => ProviderError::OverQuota { retry_after: retry_after.unwrap_or(QUOTA_PAUSE) },
            401 | 403 | 404 => ProviderError::KeyRefused,
            // GIPHY answers with 400 while it is down.
            400 | 410 | 500.. => ProviderError::Unavailable { retry_after, source: Some(error.into()) },
            _ => ProviderError::Malformed(error.into()),
        },
        ClientError::TooLarge { .. } | ClientError::Malformed(_) | ClientError::Refused(_) => {
            ProviderError::Malformed(error.into())
        }
        _ => ProviderError::Unavailable { retry_after, source: Some(error.into()) },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_removed_in_every_spelling_and_at_every_depth() {
        let mut value = json!({
            "title": "k/1+ k/1+", "number": 7, "images": [{ "url": "https://a.example/k%2F1+/x?key=k%2F1%2B&y" }, null],
        });
        redact(&mut value, &spellings("k/1+"));
        let expected = json!({
            "title": "redacted redacted", "number": 7,
            "images": [{ "url": "https://a.example/redacted/x?key=redacted&y" }, null],
        });
        assert_eq!(value, expected);
    }
}
