//! Renews answers in the background, before they are too old.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use gifs_domain::requests::FindRequest;
use kennel_app::{Component, Stop};
use kennel_cache::Counters;
use kennel_core::BoxError;
use tokio::sync::mpsc;

use super::Searches;

/// Maximum number of answers that wait to be renewed. Further ones are renewed when they are asked for again.
const MAX_WAITING: usize = 64;
/// Maximum number of answers that are renewed at once.
const MAX_CONCURRENT: usize = 4;
/// For this time, one caller over all replicas may renew an answer.
const CLAIM_TTL: Duration = Duration::from_secs(10);

/// The answers that are to be renewed. Clones share them.
#[derive(Clone)]
pub(crate) struct Refreshes {
    sender: mpsc::Sender<Due>,
    receiver: Arc<tokio::sync::Mutex<mpsc::Receiver<Due>>>,
    /// The keys of those that wait or are renewed now.
    keys: Arc<Mutex<HashSet<String>>>,
    claims: Counters,
}

struct Due {
    key: String,
    request: FindRequest,
}

impl Refreshes {
    /// `claims` are shared by all replicas.
    pub(crate) fn new(claims: Counters) -> Self {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        Self { sender, receiver: Arc::new(tokio::sync::Mutex::new(receiver)), keys: Arc::default(), claims }
    }

    /// Renews the answer to `request` soon, unless it waits for that already or too many do.
    pub(super) fn request(&self, key: String, request: &FindRequest) {
        let mut keys = self.keys();
        if keys.contains(&key) {
            return;
        }
        let due = Due { key: key.clone(), request: request.clone() };
        if self.sender.try_send(due).is_ok() {
            keys.insert(key);
        }
    }

    fn keys(&self) -> MutexGuard<'_, HashSet<String>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this process may renew the answer. Without an answer of the cache it may not: then nothing is cached.
    async fn claim(&self, key: &str) -> bool {
        matches!(self.claims.increment(key, 1, CLAIM_TTL).await, Ok(1))
    }
}

/// Renews the answers of [`Refreshes`].
pub(crate) struct Refresher(pub(crate) Searches);

impl Refresher {
    async fn refresh(&self, due: Due) {
        let refreshes = &self.0.refreshes;
        if refreshes.claim(&due.key).await {
            self.0.refresh(&due.key, &due.request).await;
        }
        refreshes.keys().remove(&due.key);
    }
}

#[async_trait]
impl Component for Refresher {
    fn name(&self) -> &'static str {
        "refresher"
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        let receiver = Arc::clone(&self.0.refreshes.receiver);
        let mut receiver = receiver.lock().await;
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                // What is renewed is dropped: the old answer stays.
                () = stop.requested() => return Ok(()),
                Some(()) = running.next() => {}
                Some(due) = receiver.recv(), if running.len() < MAX_CONCURRENT => running.push(self.refresh(due)),
            }
        }
    }
}
