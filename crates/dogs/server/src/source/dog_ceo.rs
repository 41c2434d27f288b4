//! A source that asks an API with the contract of dog.ceo, and trusts neither its answers nor where it points.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use dogs_domain::Breed;
use dogs_domain::ports::{DogSource, Picture, SourceError};
use http::StatusCode;
use kennel_core::objects::sniff;
use kennel_core::{BoxError, ErrorKind};
use kennel_http::client::BuildError;
use kennel_http::{Client, ClientConfig, ClientError, ClientMetrics};
use prometheus::Registry;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use url::Url;

use crate::config::SourceSettings;
use crate::pictures::PictureError;

/// How long a list of breeds is good for.
const FRESH: Duration = Duration::from_hours(1);
/// How long an old list is served before the API is asked again, once it failed.
const STALE: Duration = Duration::from_secs(30);

/// Fetches breeds and pictures over HTTP. The API and the host of its pictures fail apart: each has its own breaker.
pub struct DogCeoSource {
    base: Url,
    api: Client,
    files: Client,
    /// For all that a call takes: the API's answer and the picture.
    deadline: Duration,
    /// Held while the list is fetched, so that only one caller fetches it.
    breeds: Mutex<Option<Listed>>,
}

/// A list of breeds that was fetched.
struct Listed {
    breeds: Vec<Breed>,
    /// When to ask again.
    until: Instant,
}

/// Why a source could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The base URL is not one.
    #[error("dog API base URL is not an http or https URL")]
    BaseUrl,
    /// A client could not be built.
    #[error("client for the dog API cannot be built")]
    Client(#[from] BuildError),
    /// The client's metrics are registered already.
    #[error("metrics of the dog API cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

/// What the API answers; what else it says is not read.
#[derive(Deserialize)]
struct Answer<T> {
    message: T,
}

impl DogCeoSource {
    /// A source as the settings say. Calls nothing yet.
    pub fn connect(base: &str, settings: &SourceSettings, registry: &Registry) -> Result<Self, ConnectError> {
        let deadline = u64::try_from(settings.dog_api_timeout.get().as_millis()).unwrap_or(u64::MAX);
        let config = ClientConfig {
            deadline_ms: deadline,
            // Leaves time for a second try when the first gets no answer.
            timeout_ms: (deadline / 2).max(1),
            allow_private: settings.dog_api_allow_private,
            ..ClientConfig::default()
        };
        Self::new(base, &config, &ClientMetrics::register(registry)?)
    }

    /// A source at the base URL, such as `https://dog.ceo/api`.
    pub fn new(base: &str, config: &ClientConfig, metrics: &ClientMetrics) -> Result<Self, ConnectError> {
        let base = Url::parse(base).map_err(|_| ConnectError::BaseUrl)?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(ConnectError::BaseUrl);
        }
        Ok(Self {
            base,
            api: Client::new("dog_api", config, metrics)?,
            files: Client::new("dog_pictures", config, metrics)?,
            deadline: Duration::from_millis(config.deadline_ms),
            breeds: Mutex::new(None),
        })
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
        let answer: Answer<BTreeMap<String, Vec<String>>> = self.api.get_json(&url).await.map_err(sort)?;
        let names = answer.message.into_iter().flat_map(|(main, subs)| {
            let subs: Vec<_> = subs.iter().map(|sub| format!("{main}-{sub}")).collect();
            std::iter::once(main).chain(subs)
        });
        // A name that is none here could not be asked for either.
        let mut breeds: Vec<Breed> = names.filter_map(|name| name.parse().ok()).collect();
        breeds.sort();
        breeds.dedup();
        Ok(breeds)
    }

    async fn fetch_picture(&self, breed: &Breed, max_bytes: u64) -> Result<Option<Picture>, SourceError> {
        let Some(url) = self.fetch_url(breed).await? else {
            return Ok(None);
        };
        let bytes = self.files.download(&url, max_bytes).await.map_err(sort)?;
        // Whether the rest of it is one as well is looked at before it is stored.
        sniff(&bytes).ok_or_else(|| unusable(PictureError::NotAPicture))?;
        Ok(Some(Picture { bytes, url: Some(url.into()) }))
    }

    /// The URL of a random picture; `None` when the API knows no such breed.
    async fn fetch_url(&self, breed: &Breed) -> Result<Option<Url>, SourceError> {
        let segments: Vec<_> =
            ["breed", breed.main()].into_iter().chain(breed.sub()).chain(["images", "random"]).collect();
        match self.api.get_json::<Answer<String>>(&self.url(&segments)).await {
            Ok(answer) => answer.message.parse().map(Some).map_err(unusable),
            Err(ClientError::Status { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(sort(error)),
        }
    }
}

#[async_trait]
impl DogSource for DogCeoSource {
    /// The list is kept for an hour; an old one is better than none while the API fails.
    async fn breeds(&self) -> Result<Vec<Breed>, SourceError> {
        let mut listed = self.breeds.lock().await;
        if let Some(listed) = listed.as_ref().filter(|listed| Instant::now() < listed.until) {
            return Ok(listed.breeds.clone());
        }
        match (self.fetch_breeds().await, listed.as_mut()) {
            (Ok(breeds), _) => {
                *listed = Some(Listed { breeds: breeds.clone(), until: Instant::now() + FRESH });
                Ok(breeds)
            }
            (Err(error), Some(old)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "serving an old list of breeds");
                old.until = Instant::now() + STALE;
                Ok(old.breeds.clone())
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn picture(&self, breed: &Breed, max_bytes: u64) -> Result<Option<Picture>, SourceError> {
        match timeout(self.deadline, self.fetch_picture(breed, max_bytes)).await {
            Ok(result) => result,
            Err(elapsed) => Err(SourceError::Timeout(elapsed.into())),
        }
    }
}

fn unusable(error: impl Into<BoxError>) -> SourceError {
    SourceError::Unusable(error.into())
}

fn sort(error: ClientError) -> SourceError {
    match error.kind() {
        ErrorKind::Unavailable => SourceError::Unavailable { retry_after: error.retry_after(), source: error.into() },
        ErrorKind::Timeout => SourceError::Timeout(error.into()),
        _ => SourceError::Unusable(error.into()),
    }
}

#[cfg(test)]
#[path = "dog_ceo_tests.rs"]
mod tests;
