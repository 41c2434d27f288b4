//! A key-value bucket of NATS.

use std::fmt;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::kv::{self, Store, Watch};
use async_nats::{ConnectOptions, ServerAddr};
use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use kennel_config::Problems;
use kennel_core::BoxError;
use percent_encoding::percent_decode_str;
use tokio::time::{sleep, timeout};

use crate::{LiveConfig, LiveError, LiveSource, Values};

/// Time limit of connecting, and of reading all values.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How many values are read at once.
const READS: usize = 32;
/// How often all values are read without a notification, which finds a bucket that was created again.
const REFRESH: Duration = Duration::from_mins(1);

/// The values of a bucket, whose keys are those of the settings. The bucket must exist: whoever operates the servers
/// decides about its replicas and its history.
pub struct NatsSource {
    servers: Vec<ServerAddr>,
    bucket: String,
    /// The bucket and its changes; `None` before the first call, and after an error.
    open: Option<(Store, Watch)>,
    /// Whether there may be changes that were not returned.
    is_stale: bool,
}

impl fmt::Debug for NatsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsSource").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

/// The servers of a configuration. Adds its problems.
pub(crate) fn servers(config: &LiveConfig, problems: &mut Problems) -> Option<Vec<ServerAddr>> {
    let url = ("live_nats_url", config.live_nats_url.as_ref());
    let password = ("live_nats_password", config.live_nats_password.as_ref());
    let url = problems.server_url(url, password, "LIVE_SETTINGS is nats")?;
    let servers = url.expose().split(',').map(|url| url.trim().parse()).collect::<Result<_, _>>();
    if servers.is_err() {
        problems.add("live_nats_url", "must be a list of NATS URLs");
    }
    servers.ok()
}

/// The options with the credentials of the URL, which the client does not apply itself.
fn login(servers: &[ServerAddr]) -> ConnectOptions {
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    match servers.iter().find_map(|server| Some((server.username()?, server.password()))) {
        Some((user, Some(password))) => ConnectOptions::with_user_and_password(plain(user), plain(password)),
        Some((token, None)) => ConnectOptions::with_token(plain(token)),
        None => ConnectOptions::new(),
    }
}

fn unavailable(error: impl Into<BoxError>) -> LiveError {
    LiveError::Unavailable(error.into())
}

impl NatsSource {
    /// The bucket of a configuration.
    pub fn new(config: &LiveConfig) -> Result<Self, LiveError> {
        let servers = Problems::resolve(|problems| servers(config, problems));
        let servers = servers.map_err(|problems| LiveError::Invalid(problems.into()))?;
        Ok(Self { servers, bucket: config.live_nats_bucket.clone(), open: None, is_stale: true })
    }
}

/// Watches before anything is read, so that no change is missed.
async fn open(servers: Vec<ServerAddr>, bucket: String) -> Result<(Store, Watch), LiveError> {
    let options = login(&servers).name("kennel-live").request_timeout(Some(TIMEOUT));
    let client = options.connect(servers).await.map_err(unavailable)?;
    let store = jetstream::new(client).get_key_value(bucket).await.map_err(unavailable)?;
    let watch = store.watch_all().await.map_err(unavailable)?;
    Ok((store, watch))
}

async fn read(store: &Store) -> Result<Values, LiveError> {
    let keys: Vec<String> = store.keys().await.map_err(unavailable)?.try_collect().await.map_err(unavailable)?;
    let found = stream::iter(keys).map(async |key| {
        // Whoever uses the key decides whether it can be read: one bad value must not block those of other services.
        let text = store.get(&key).await?.map(|value| String::from_utf8_lossy(&value).into_owned());
        Ok(text.map(|text| (key, text)))
    });
    let found: Vec<_> =
        found.buffer_unordered(READS).try_collect().await.map_err(|error: kv::EntryError| unavailable(error))?;
    Ok(found.into_iter().flatten().collect())
}

#[async_trait]
impl LiveSource for NatsSource {
    async fn next(&mut self) -> Result<Values, LiveError> {
        if self.open.is_none() {
            // Of its own values: a watch cannot be shared, so neither can this source.
            let open = open(self.servers.clone(), self.bucket.clone());
            self.open = Some(timeout(TIMEOUT, open).await.map_err(unavailable)??);
            self.is_stale = true;
        }
        let Some((store, watch)) = &mut self.open else { return Err(unavailable("the bucket is closed")) };
        while !self.is_stale {
            tokio::select! {
                changed = watch.next() => match changed {
                    Some(Ok(_)) => {
                        // One reading is enough for all changes until now.
                        while let Some(Some(Ok(_))) = watch.next().now_or_never() {}
                        self.is_stale = true;
                    }
                    Some(Err(error)) => {
                        self.open = None;
                        return Err(unavailable(error));
                    }
                    None => {
                        self.open = None;
                        return Err(unavailable("the server ended the watch"));
                    }
                },
                () = sleep(REFRESH) => self.is_stale = true,
            }
        }
        let values = timeout(TIMEOUT, read(store)).await;
        match values.map_err(unavailable).flatten() {
            Ok(values) => {
                self.is_stale = false;
                Ok(values)
            }
            Err(error) => {
                self.open = None;
                Err(error)
            }
        }
    }
}
