//! A source that calls an API with the contract of dog.ceo. Its responses and the URLs in them are untrusted.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use dogs_domain::Breed;
use dogs_domain::ports::{DogSource, Picture, SourceError};
use http::StatusCode;
use kennel_client::{Client, ClientConfig, ClientError};
use kennel_core::objects::sniff;
use kennel_core::{BoxError, ErrorKind};
use kennel_images::DecodeError;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use url::Url;

use crate::SourceSettings;

/// How long a list of breeds is cached.
const CACHE_TTL: Duration = Duration::from_hours(1);
/// How long an expired list is served after a failure before the API is called again.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// Fetches breeds and images over HTTP. The API and the host of its images have separate circuit breakers.
pub struct DogCeoSource {
    base: Url,
    api: Client,
    images: Client,
    /// The deadline of a call, for the response of the API and the image together.
    deadline: Duration,
    /// Locked while the list is fetched, so that only one caller fetches it.
    breeds: Mutex<Option<CachedBreeds>>,
}

/// A list of breeds that was fetched.
struct CachedBreeds {
    breeds: Vec<Breed>,
    /// When to fetch it again.
    expires_at: Instant,
}

/// The base URL is invalid.
#[derive(Debug, thiserror::Error)]
#[error("dog API base URL is not an http or https URL")]
pub struct InvalidBaseUrl;

/// A response of the API; other fields are ignored.
#[derive(Deserialize)]
struct ApiResponse<T> {
    message: T,
}

impl DogCeoSource {
    /// The settings of the clients of the API and of the host of its images.
    pub fn client_config(settings: &SourceSettings) -> ClientConfig {
        let deadline = settings.dog_api_timeout.get();
        ClientConfig {
            deadline,
            // Leaves time for a second attempt when the first one times out.
            timeout: deadline / 2,
            allow_private: settings.dog_api_allow_private,
            ..ClientConfig::default()
        }
    }

    /// A source at the base URL, such as `https://dog.ceo/api`. Sends no request yet.
    pub fn new(base: &str, api: Client, images: Client, deadline: Duration) -> Result<Self, InvalidBaseUrl> {
        let base = Url::parse(base).map_err(|_| InvalidBaseUrl)?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(InvalidBaseUrl);
        }
        Ok(Self { base, api, images, deadline, breeds: Mutex::new(None) })
    }

    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    async fn fetch_breeds(&self) -> Result<Vec<Breed>, SourceError> {
        let url = self.url(&["breeds", "list", "all"]);
        let response: ApiResponse<BTreeMap<String, Vec<String>>> = self.api.get_json(&url).await.map_err(classify)?;
        let names = response.message.into_iter().flat_map(|(main, subs)| {
            let subs: Vec<_> = subs.iter().map(|sub| format!("{main}-{sub}")).collect();
            std::iter::once(main).chain(subs)
        });
        // Names that are not valid breeds cannot be requested either.
        let mut breeds: Vec<Breed> = names.filter_map(|name| name.parse().ok()).collect();
        breeds.sort();
        breeds.dedup();
        Ok(breeds)
    }

    async fn fetch_image(&self, breed: &Breed, max_bytes: u64) -> Result<Option<Picture>, SourceError> {
        let Some(url) = self.fetch_url(breed).await? else {
            return Ok(None);
        };
        let bytes = self.images.download(&url, max_bytes).await.map_err(classify)?;
        // Checks only the first bytes; the complete image is checked before it is stored.
        sniff(&bytes).ok_or_else(|| unusable(DecodeError::UnknownFormat))?;
        Ok(Some(Picture { bytes, url: Some(url.into()) }))
    }

    /// The URL of a random image; `None` when the API does not have the breed.
    async fn fetch_url(&self, breed: &Breed) -> Result<Option<Url>, SourceError> {
        let segments: Vec<_> =
            ["breed", breed.main()].into_iter().chain(breed.sub()).chain(["images", "random"]).collect();
        match self.api.get_json::<ApiResponse<String>>(&self.url(&segments)).await {
            Ok(response) => response.message.parse().map(Some).map_err(unusable),
            Err(ClientError::Status { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(classify(error)),
        }
    }
}

#[async_trait]
impl DogSource for DogCeoSource {
    /// Caches the list for an hour; serves an expired list while the API fails.
    async fn breeds(&self) -> Result<Vec<Breed>, SourceError> {
        let mut cached = self.breeds.lock().await;
        if let Some(cached) = cached.as_ref().filter(|cached| Instant::now() < cached.expires_at) {
            return Ok(cached.breeds.clone());
        }
        match (self.fetch_breeds().await, cached.as_mut()) {
            (Ok(breeds), _) => {
                *cached = Some(CachedBreeds { breeds: breeds.clone(), expires_at: Instant::now() + CACHE_TTL });
                Ok(breeds)
            }
            (Err(error), Some(expired)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot fetch the list of breeds, serving an expired one"
                );
                expired.expires_at = Instant::now() + RETRY_INTERVAL;
                Ok(expired.breeds.clone())
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn picture(&self, breed: &Breed, max_bytes: u64) -> Result<Option<Picture>, SourceError> {
        match timeout(self.deadline, self.fetch_image(breed, max_bytes)).await {
            Ok(result) => result,
            Err(elapsed) => Err(SourceError::Timeout(elapsed.into())),
        }
    }
}

fn unusable(error: impl Into<BoxError>) -> SourceError {
    SourceError::Unusable(error.into())
}

fn classify(error: ClientError) -> SourceError {
    match error.kind() {
        ErrorKind::Unavailable => SourceError::Unavailable { retry_after: error.retry_after(), source: error.into() },
        ErrorKind::Timeout => SourceError::Timeout(error.into()),
        _ => SourceError::Unusable(error.into()),
    }
}

#[cfg(test)]
#[path = "dog_ceo_tests.rs"]
mod tests;
