//! The keys that access tokens are signed with, which operators rotate.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use kennel_auth::{Algorithm, Jwk, JwkSet};
use kennel_core::{BoxError, Clock, IdSource, RepoError, Timestamp};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::sealing::{Keys, SealError};
use crate::store::{AuthRepository, Others, StoredKey};

/// How old the keys in memory may be: so long after a rotation, other replicas do not know the new key.
const MAX_AGE: Duration = Duration::from_secs(10);
/// How long an answer with the published keys may be stored, in seconds.
pub(crate) const PUBLISHED_MAX_AGE: u64 = 60;
/// The age at which a key signs: then every replica publishes it, no stored answer is without it, and a verifier that reads the
/// keys because of it may do so.
pub const ACTIVATION: Duration = MAX_AGE
    .saturating_add(Duration::from_secs(PUBLISHED_MAX_AGE))
    .saturating_add(kennel_auth::config::MAX_KEYS_MIN_INTERVAL);
/// How long a retired key is published: longer than it still signs, with the lifetime of its tokens and the difference of clocks.
pub const OVERLAP: Duration = Duration::from_hours(1);

/// The keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] RepoError),
    /// The key in use cannot be decrypted, or a new one cannot be encrypted.
    #[error(transparent)]
    Sealed(#[from] SealError),
    /// The library refuses the key.
    #[error("the signing key is not usable")]
    Key(#[source] BoxError),
}

/// Signs tokens with the newest key that verifiers know, and publishes all that are valid. Clones share them.
#[derive(Clone)]
pub struct Signer(Arc<Inner>);

struct Inner {
    store: Arc<dyn AuthRepository>,
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    loaded: Mutex<Option<Arc<Loaded>>>,
}

struct Loaded {
    kid: String,
    pair: Ed25519KeyPair,
    published: JwkSet,
    at: Instant,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    kid: &'a str,
}

impl Signer {
    /// Signs with the keys of `store`, which are encrypted with `keys`.
    pub fn new(store: Arc<dyn AuthRepository>, keys: Arc<Keys>, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        Self(Arc::new(Inner { store, keys, clock, ids, loaded: Mutex::new(None) }))
    }

    /// A token with these claims.
    pub async fn sign(&self, claims: &impl Serialize) -> Result<String, SigningError> {
        let loaded = self.loaded().await?;
        let header =
            Header { alg: Algorithm::EdDsa.name(), typ: kennel_auth::verifier::ACCESS_TOKEN, kid: &loaded.kid };
        let encode = |json: serde_json::Result<Vec<u8>>| {
            json.map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(|error| SigningError::Key(error.into()))
        };
        let message = format!("{}.{}", encode(serde_json::to_vec(&header))?, encode(serde_json::to_vec(claims))?);
        let signature = URL_SAFE_NO_PAD.encode(loaded.pair.sign(message.as_bytes()));
        Ok(format!("{message}.{signature}"))
    }

    /// The keys that tokens can be verified with: the one in use, the next one, and those that were in use a short time ago.
    pub async fn published(&self) -> Result<JwkSet, SigningError> {
        Ok(self.loaded().await?.published.clone())
    }

    /// Creates a key, which is published at once and signs after [`ACTIVATION`]. Returns its id.
    pub async fn rotate(&self) -> Result<String, SigningError> {
        self.replace(Others::Retire).await
    }

    /// Creates a key and deletes all others, so that tokens which they have signed are no longer valid once services have read
    /// the keys again. Returns its id.
    pub async fn withdraw(&self) -> Result<String, SigningError> {
        self.replace(Others::Delete).await
    }

    async fn replace(&self, others: Others) -> Result<String, SigningError> {
        let inner = &*self.0;
        let mut loaded = inner.loaded.lock().await;
        let key = inner.create()?;
        inner.store.rotate_keys(&key, others).await?;
        *loaded = None;
        Ok(key.kid)
    }

    async fn loaded(&self) -> Result<Arc<Loaded>, SigningError> {
        let inner = &*self.0;
        let mut loaded = inner.loaded.lock().await;
        if let Some(fresh) = loaded.as_ref().filter(|loaded| loaded.at.elapsed() < MAX_AGE) {
            return Ok(Arc::clone(fresh));
        }
        let read = Arc::new(inner.load().await?);
        *loaded = Some(Arc::clone(&read));
        Ok(read)
    }
}

impl Inner {
    fn create(&self) -> Result<StoredKey, SigningError> {
        let unusable = |error: BoxError| SigningError::Key(error);
        let document =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|error| unusable(error.to_string().into()))?;
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(|error| unusable(error.to_string().into()))?;
        let kid = self.ids.next().to_string();
        Ok(StoredKey {
            public_key: STANDARD_NO_PAD.encode(pair.public_key()),
            private_key: self.keys.seal(&kid, document.as_ref())?,
            kid,
            created_at: self.clock.now(),
            retired_at: None,
        })
    }

    /// Reads the keys. Creates the first one; if several replicas do that at once, each retires those before it.
    async fn load(&self) -> Result<Loaded, SigningError> {
        let mut stored = self.store.list_keys().await?;
        if stored.iter().all(|key| key.retired_at.is_some()) {
            self.store.rotate_keys(&self.create()?, Others::Retire).await?;
            stored = self.store.list_keys().await?;
        }
        let published_until = |at: Timestamp| at.saturating_add(OVERLAP);
        let now = self.clock.now();
        stored.retain(|key| key.retired_at.is_none_or(|at| now < published_until(at)));
        let (kid, pair) = self.signing(&stored, now)?;
        let keys = stored.iter().map(|key| {
            let public = STANDARD_NO_PAD.decode(&key.public_key).map_err(RepoError::corrupt)?;
            Ok(Jwk::ed25519(&key.kid, &public))
        });
        let published = JwkSet { keys: keys.collect::<Result<_, RepoError>>()? };
        Ok(Loaded { kid, pair, published, at: Instant::now() })
    }

    /// The newest key that is old enough to sign, or the oldest one. After a change of the secret, only the newest can be
    /// decrypted. Fails if that cannot: then the secret is not the one of the other replicas.
    fn signing(&self, published: &[StoredKey], now: Timestamp) -> Result<(String, Ed25519KeyPair), SigningError> {
        let newest = published.iter().find(|key| key.retired_at.is_none());
        let newest = newest.ok_or_else(|| SigningError::Key("there is none".into()))?;
        let document = self.keys.open(&newest.kid, &newest.private_key)?;
        let is_known = |key: &&StoredKey| now.since(key.created_at) >= ACTIVATION;
        let used = published.iter().find(is_known).or(published.last()).unwrap_or(newest);
        let (kid, document) = match self.keys.open(&used.kid, &used.private_key) {
            Ok(document) => (&used.kid, document),
            Err(_) => (&newest.kid, document),
        };
        let pair =
            Ed25519KeyPair::from_pkcs8(&document).map_err(|error| SigningError::Key(error.to_string().into()))?;
        Ok((kid.clone(), pair))
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}
