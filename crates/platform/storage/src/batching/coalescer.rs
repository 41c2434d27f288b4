//! Coalesced reads: concurrent lookups of single keys as one query.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use async_trait::async_trait;
use kennel_core::RepoError;
use tracing::Span;

use super::queue::{Queue, QueueLimits};
use super::{BatchLimits, Group, GroupCommit};
use crate::metrics::BatchMetrics;

/// Finds values by key.
#[async_trait]
pub trait Lookup<K, V>: Send + Sync + 'static {
    /// The value of a key; `None` when there is none.
    async fn find(&self, key: &K) -> Result<Option<V>, RepoError>;

    /// The existing values of these keys. No key occurs twice.
    async fn find_all(&self, keys: &[K]) -> Result<HashMap<K, V>, RepoError>;

    /// The span of a call of [`Self::find_all`]; see [`Group::span`].
    fn span(&self) -> Span;
}

/// Finds values by key, many keys with one query while the database is busy; see [the module](super). Clones share the
/// queue.
///
/// A query starts after its calls: a call returns what was committed before it, or something later.
pub struct Coalescer<K: Key, V: Value>(GroupCommit<Reads<K, V>>);

impl<K: Key, V: Value> Clone for Coalescer<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A type that can be the key of a [`Coalescer`].
pub trait Key: Clone + Eq + Hash + Send + Sync + 'static {}

impl<T: Clone + Eq + Hash + Send + Sync + 'static> Key for T {}

/// A type that can be the value of a [`Coalescer`].
pub trait Value: Clone + Send + 'static {}

impl<T: Clone + Send + 'static> Value for T {}

impl<K: Key, V: Value> Coalescer<K, V> {
    /// Finds values with `lookup`, within `limits`.
    pub fn new(lookup: impl Lookup<K, V>, limits: BatchLimits, metrics: BatchMetrics) -> Self {
        let queue = Queue::new(QueueLimits::of_reads(&limits));
        Self(GroupCommit::with_queue(Reads(Box::new(lookup)), limits, metrics, queue))
    }

    /// The value of a key, found alone or together with others. Fails with [`RepoError::Unavailable`] when the queue is
    /// full or the call waits in it for too long.
    pub async fn find(&self, key: K) -> Result<Option<V>, RepoError> {
        self.0.run(key).await
    }
}

struct Reads<K, V>(Box<dyn Lookup<K, V>>);

#[async_trait]
impl<K: Key, V: Value> Group for Reads<K, V> {
    type Operation = K;
    type Output = Option<V>;

    async fn execute(&self, keys: &[K]) -> Result<Vec<Result<Option<V>, RepoError>>, RepoError> {
        if let [key] = keys {
            return Ok(vec![self.0.find(key).await]);
        }
        let distinct: Vec<K> = keys.iter().collect::<HashSet<_>>().into_iter().cloned().collect();
        let mut found = self.0.find_all(&distinct).await?;
        if distinct.len() == keys.len() {
            return Ok(keys.iter().map(|key| Ok(found.remove(key))).collect());
        }
        Ok(keys.iter().map(|key| Ok(found.get(key).cloned())).collect())
    }

    fn span(&self) -> Span {
        self.0.span()
    }
}
