//! Single-flight loading: one load per key at a time, shared by all callers, and cancelled by invalidation.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Number of write locks. Keys share a lock by hash; with this many, writers of different keys rarely share one.
const STRIPES: usize = 64;

/// Result of a load, for the callers that waited for it.
#[derive(Clone)]
pub(crate) enum LoadResult<V> {
    /// The loaded value, or its absence.
    Loaded(Option<V>),
    /// The load failed; only the leader has the error.
    Failed,
    /// The leader was dropped before the load ended.
    Abandoned,
}

struct PendingLoad<V> {
    result: watch::Sender<Option<LoadResult<V>>>,
    cancelled: AtomicBool,
}

type ByKey<V> = HashMap<String, Arc<PendingLoad<V>>>;

/// The running loads of one cache.
pub(crate) struct SingleFlight<V> {
    by_key: Mutex<ByKey<V>>,
    completed: AtomicU64,
    hasher: RandomState,
    stripes: [tokio::sync::Mutex<()>; STRIPES],
}

/// What a caller does about a key that is not in the cache.
pub(crate) enum Role<'a, V> {
    /// It loads the value.
    Leader(Leader<'a, V>),
    /// It waits for the caller that loads the value.
    Waiter(Waiter<V>),
}

impl<V: Clone> SingleFlight<V> {
    pub(crate) fn new() -> Self {
        Self {
            by_key: Mutex::default(),
            completed: AtomicU64::new(0),
            hasher: RandomState::new(),
            stripes: std::array::from_fn(|_| tokio::sync::Mutex::default()),
        }
    }

    /// Returns how many loads have ended. While this number does not change, no load can have filled the cache.
    pub(crate) fn completed(&self) -> u64 {
        self.completed.load(Ordering::Acquire)
    }

    /// Joins the running load of `key`, or starts one.
    pub(crate) fn join(&self, key: &str) -> Role<'_, V> {
        let mut by_key = self.lock();
        if let Some(load) = by_key.get(key) {
            return Role::Waiter(Waiter(load.result.subscribe()));
        }
        let load = Arc::new(PendingLoad { result: watch::Sender::new(None), cancelled: AtomicBool::new(false) });
        by_key.insert(key.to_owned(), Arc::clone(&load));
        Role::Leader(Leader { single_flight: self, key: key.to_owned(), load })
    }

    /// Cancels the load of `key`: it does not fill the cache, and later callers do not join it.
    pub(crate) fn cancel(&self, key: &str) {
        if let Some(load) = self.lock().remove(key) {
            load.cancelled.store(true, Ordering::Release);
        }
    }

    /// Cancels every load.
    #[cfg(feature = "redis")]
    pub(crate) fn cancel_all(&self) {
        for (_, load) in self.lock().drain() {
            load.cancelled.store(true, Ordering::Release);
        }
    }

    /// Acquires the lock for writing `key` to the cache, so that a fill and an invalidation of one key cannot overlap.
    pub(crate) async fn write_lock(&self, key: &str) -> tokio::sync::MutexGuard<'_, ()> {
        let stripe = usize::try_from(self.hasher.hash_one(key) % STRIPES as u64).unwrap_or(0);
        self.stripes[stripe].lock().await
    }
}

impl<V> SingleFlight<V> {
    fn lock(&self) -> MutexGuard<'_, ByKey<V>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The caller that loads a key. If it is dropped without a result, one of the waiters becomes the leader.
pub(crate) struct Leader<'a, V> {
    single_flight: &'a SingleFlight<V>,
    key: String,
    load: Arc<PendingLoad<V>>,
}

impl<V> Leader<'_, V> {
    /// Publishes the result to all waiters, including those that join before this is dropped.
    pub(crate) fn complete(&self, result: LoadResult<V>) {
        self.load.result.send_replace(Some(result));
    }

    /// Returns whether the load was cancelled.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.load.cancelled.load(Ordering::Acquire)
    }
}

impl<V> Drop for Leader<'_, V> {
    fn drop(&mut self) {
        // Incremented before the entry is removed: a caller that then starts a new load sees it and looks up the key
        // again.
        self.single_flight.completed.fetch_add(1, Ordering::Release);
        let mut by_key = self.single_flight.lock();
        if by_key.get(&self.key).is_some_and(|load| Arc::ptr_eq(load, &self.load)) {
            by_key.remove(&self.key);
        }
    }
}

/// A caller that waits for the load of another one.
pub(crate) struct Waiter<V>(watch::Receiver<Option<LoadResult<V>>>);

impl<V: Clone> Waiter<V> {
    pub(crate) async fn wait(mut self) -> LoadResult<V> {
        let result = self.0.wait_for(Option::is_some).await;
        result.ok().and_then(|result| result.clone()).unwrap_or(LoadResult::Abandoned)
    }
}
