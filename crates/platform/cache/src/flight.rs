//! Loads under way: one per key, shared by all who want it, and called off by invalidation.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Writers of different keys rarely meet in one of these.
const STRIPES: usize = 64;

/// How a load ended.
#[derive(Clone)]
pub(crate) enum Landing<V> {
    /// With this.
    Loaded(Option<V>),
    /// With an error, which the one who ran the load has.
    Failed,
    /// Not at all: the one who ran it went away.
    Abandoned,
}

struct Flight<V> {
    landing: watch::Sender<Option<Landing<V>>>,
    stale: AtomicBool,
}

type ByKey<V> = HashMap<String, Arc<Flight<V>>>;

/// The loads under way of one cache.
pub(crate) struct Flights<V> {
    by_key: Mutex<ByKey<V>>,
    landed: AtomicU64,
    hasher: RandomState,
    stripes: [tokio::sync::Mutex<()>; STRIPES],
}

/// What to do about a key that the cache does not have.
pub(crate) enum Role<'a, V> {
    /// Load it.
    Lead(Lead<'a, V>),
    /// Wait for the one who loads it.
    Follow(Follow<V>),
}

impl<V: Clone> Flights<V> {
    pub(crate) fn new() -> Self {
        Self {
            by_key: Mutex::default(),
            landed: AtomicU64::new(0),
            hasher: RandomState::new(),
            stripes: std::array::from_fn(|_| tokio::sync::Mutex::default()),
        }
    }

    /// How many loads have ended. While it stands, no load can have filled the cache.
    pub(crate) fn landed(&self) -> u64 {
        self.landed.load(Ordering::Acquire)
    }

    /// Joins the load of `key`, or begins one.
    pub(crate) fn join(&self, key: &str) -> Role<'_, V> {
        let mut by_key = self.lock();
        if let Some(flight) = by_key.get(key) {
            return Role::Follow(Follow(flight.landing.subscribe()));
        }
        let flight = Arc::new(Flight { landing: watch::Sender::new(None), stale: AtomicBool::new(false) });
        by_key.insert(key.to_owned(), Arc::clone(&flight));
        Role::Lead(Lead { flights: self, key: key.to_owned(), flight })
    }

    /// Calls off the load of `key`: it no longer fills the cache, and who comes now does not join it.
    pub(crate) fn call_off(&self, key: &str) {
        if let Some(flight) = self.lock().remove(key) {
            flight.stale.store(true, Ordering::Release);
        }
    }

    /// Calls off every load.
    #[cfg(feature = "redis")]
    pub(crate) fn call_off_all(&self) {
        for (_, flight) in self.lock().drain() {
            flight.stale.store(true, Ordering::Release);
        }
    }

    /// The right to write `key` in the cache.
    pub(crate) async fn writing(&self, key: &str) -> tokio::sync::MutexGuard<'_, ()> {
        let stripe = usize::try_from(self.hasher.hash_one(key) % STRIPES as u64).unwrap_or(0);
        self.stripes[stripe].lock().await
    }
}

impl<V> Flights<V> {
    fn lock(&self) -> MutexGuard<'_, ByKey<V>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The duty to load a key. Dropped without a landing, it passes to one of those who wait.
pub(crate) struct Lead<'a, V> {
    flights: &'a Flights<V>,
    key: String,
    flight: Arc<Flight<V>>,
}

impl<V> Lead<'_, V> {
    /// Tells those who wait, and those who come until this is dropped.
    pub(crate) fn land(&self, landing: Landing<V>) {
        self.flight.landing.send_replace(Some(landing));
    }

    /// Whether the load was called off.
    pub(crate) fn is_stale(&self) -> bool {
        self.flight.stale.load(Ordering::Acquire)
    }
}

impl<V> Drop for Lead<'_, V> {
    fn drop(&mut self) {
        self.flights.landed.fetch_add(1, Ordering::Release);
        let mut by_key = self.flights.lock();
        if by_key.get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            by_key.remove(&self.key);
        }
    }
}

/// A place among those who wait for a load.
pub(crate) struct Follow<V>(watch::Receiver<Option<Landing<V>>>);

impl<V: Clone> Follow<V> {
    pub(crate) async fn landing(mut self) -> Landing<V> {
        let landing = self.0.wait_for(Option::is_some).await;
        landing.ok().and_then(|landing| landing.clone()).unwrap_or(Landing::Abandoned)
    }
}
