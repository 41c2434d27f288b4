//! The keys of an issuer, which change over time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use kennel_client::{Client, ClientConfig};
use kennel_core::BoxError;
use kennel_telemetry::metrics::Outcome;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use url::Url;

use crate::jwk::{JwkSet, VerificationKey};
use crate::metrics::AuthMetrics;
use crate::refusal::{AuthError, Refusal};

/// Largest key set.
const MAX_BYTES: u64 = 64 * 1024;
/// Timeout of reading the keys; requests wait for it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);
/// When to read the keys again after a failure.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// How old keys may become while they cannot be read.
const MAX_STALE: Duration = Duration::from_hours(24);

/// Where an issuer publishes its keys.
#[async_trait]
pub trait KeySource: Send + Sync + 'static {
    /// Reads the keys.
    async fn read(&self) -> Result<JwkSet, BoxError>;
}

/// A URL that answers with a key set.
#[derive(Debug)]
pub struct HttpKeys {
    url: Url,
    client: Client,
}

impl HttpKeys {
    /// Reads `url` with a client that has [`HttpKeys::client_config`].
    pub const fn new(url: Url, client: Client) -> Self {
        Self { url, client }
    }

    /// Properties of the client. The URL is one of the configuration, so that its address may be private.
    pub fn client_config() -> ClientConfig {
        ClientConfig {
            connect_timeout: FETCH_TIMEOUT,
            timeout: FETCH_TIMEOUT,
            deadline: FETCH_TIMEOUT,
            max_retries: 0,
            max_redirects: 0,
            max_bytes: MAX_BYTES,
            breaker_failures: 0,
            allow_private: true,
            ..ClientConfig::default()
        }
    }
}

#[async_trait]
impl KeySource for HttpKeys {
    async fn read(&self) -> Result<JwkSet, BoxError> {
        Ok(self.client.get_json(&self.url).await?)
    }
}

/// A file with a key set, which may be replaced at any time.
#[derive(Debug)]
pub struct FileKeys(pub PathBuf);

#[async_trait]
impl KeySource for FileKeys {
    async fn read(&self) -> Result<JwkSet, BoxError> {
        Ok(serde_json::from_slice(&tokio::fs::read(&self.0).await?)?)
    }
}

/// The keys of an issuer, as they were read last.
///
/// They are read when the first token arrives, again once they are older than `max_age`, and when a token names a key that is
/// not among them; in the last case at most once per `min_interval`, so that tokens with invented key ids cause no load. They
/// are never read twice at the same time, and a read goes on when the request that caused it has ended. If they cannot be read,
/// the previous ones stay valid for a day.
pub struct KeySet {
    shared: Arc<Shared>,
    /// The read that is running.
    reads: Mutex<JoinSet<()>>,
}

struct Shared {
    source: Box<dyn KeySource>,
    max_age: Duration,
    min_interval: Duration,
    metrics: AuthMetrics,
    current: RwLock<Option<Arc<Keys>>>,
    progress: watch::Sender<Progress>,
}

/// Whether keys are being read, and how the last read ended.
#[derive(Clone, Copy, Default)]
struct Progress {
    is_reading: bool,
    last: Option<Attempt>,
}

#[derive(Clone, Copy)]
struct Attempt {
    ended: Instant,
    succeeded: bool,
}

/// Keys that were read together.
pub(crate) struct Keys {
    keys: Vec<VerificationKey>,
    read_at: Instant,
}

impl Keys {
    /// The keys with this id; those without an id for a token that names none.
    pub(crate) fn with_id(&self, kid: Option<&str>) -> impl Iterator<Item = &VerificationKey> {
        self.keys.iter().filter(move |key| key.kid.as_deref() == kid)
    }

    fn has(&self, kid: Option<&str>) -> bool {
        self.with_id(kid).next().is_some()
    }
}

impl Progress {
    /// Whether keys may be read again: `interval` after the last read, or sooner after one that failed.
    fn is_due(&self, interval: Duration) -> bool {
        let is_over = |last: Attempt| {
            let pause = if last.succeeded { interval } else { RETRY_INTERVAL };
            last.ended.elapsed() >= pause
        };
        !self.is_reading && self.last.is_none_or(is_over)
    }
}

impl KeySet {
    /// The keys of `source`.
    pub fn new(source: impl KeySource, max_age: Duration, min_interval: Duration, metrics: AuthMetrics) -> Self {
        let (current, progress) = (RwLock::new(None), watch::Sender::default());
        let shared = Shared { source: Box::new(source), max_age, min_interval, metrics, current, progress };
        Self { shared: Arc::new(shared), reads: Mutex::default() }
    }

    /// The keys, one of which has this id.
    pub(crate) async fn with_key(&self, kid: Option<&str>) -> Result<Arc<Keys>, AuthError> {
        if let Some(keys) = self.shared.current().filter(|keys| keys.has(kid)) {
            if keys.read_at.elapsed() >= self.shared.max_age {
                self.read_if_due(Duration::ZERO);
            }
            return Ok(keys);
        }
        self.read_if_due(self.shared.min_interval);
        let mut progress = self.shared.progress.subscribe();
        let last = progress.wait_for(|progress| !progress.is_reading).await.ok().and_then(|progress| progress.last);
        match self.shared.current() {
            Some(keys) if keys.has(kid) => Ok(keys),
            // The key may be a new one, if its issuer does not answer.
            Some(_) if last.is_none_or(|last| last.succeeded) => Err(Refusal::UnknownKey.into()),
            _ => Err(AuthError::Unavailable("the keys cannot be read".into())),
        }
    }

    /// Starts to read the keys, unless that is being done or was done a short time ago.
    fn read_if_due(&self, interval: Duration) {
        let starts = self.shared.progress.send_if_modified(|progress| {
            let starts = progress.is_due(interval);
            progress.is_reading |= starts;
            starts
        });
        if starts {
            let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
            while reads.try_join_next().is_some() {}
            reads.spawn(Arc::clone(&self.shared).read());
        }
    }
}

impl Shared {
    /// The keys that may be used.
    fn current(&self) -> Option<Arc<Keys>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        current.filter(|keys| keys.read_at.elapsed() < MAX_STALE)
    }

    async fn read(self: Arc<Self>) {
        let mut ended = Ended { progress: &self.progress, succeeded: false };
        let at = Instant::now();
        let read = timeout(FETCH_TIMEOUT, self.source.read()).await.unwrap_or_else(|elapsed| Err(elapsed.into()));
        self.metrics.keys_read(Outcome::of(&read));
        match read {
            Ok(set) => {
                let keys: Vec<_> = set.keys.iter().filter_map(crate::Jwk::verification_key).collect();
                if keys.is_empty() {
                    tracing::warn!("the issuer publishes no key that can be used");
                }
                let keys = Arc::new(Keys { keys, read_at: at });
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(keys);
                ended.succeeded = true;
            }
            Err(error) => {
                tracing::warn!(error = &*error as &dyn std::error::Error, "cannot read the keys of the issuer");
            }
        }
    }
}

/// Records the end of a read, also if it panics or is aborted.
struct Ended<'a> {
    progress: &'a watch::Sender<Progress>,
    succeeded: bool,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let last = Some(Attempt { ended: Instant::now(), succeeded: self.succeeded });
        self.progress.send_replace(Progress { is_reading: false, last });
    }
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySet").finish_non_exhaustive()
    }
}
