//! Objects that never change, the most read of them from memory.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kennel_core::objects::{ByteStream, ObjectError};
use kennel_core::{ObjectKey, ObjectStore};
use kennel_telemetry::metrics::names;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use tokio::sync::Semaphore;

/// Larger objects are not retained: they would displace too many others.
const MAX_OBJECT_BYTES: u64 = 1024 * 1024;
/// Memory for objects that are being read whole. If it is used, others are streamed.
const MAX_LOADING_BYTES: usize = 16 * 1024 * 1024;
/// Approximate overhead of an entry, in addition to its key and its bytes.
const OVERHEAD_BYTES: u64 = 128;

/// Reads objects whose keys are never used for other bytes, such as those that are named by their hash. Cheap to clone.
///
/// The most read objects of at most 1 MiB are retained in memory, up to a capacity. A deleted object may still be read
/// for as long as it is retained.
#[derive(Clone)]
pub struct HotObjects {
    objects: Arc<dyn ObjectStore>,
    retained: moka::sync::Cache<ObjectKey, Bytes>,
    loading: Arc<Semaphore>,
    metrics: HotMetrics,
}

#[derive(Clone)]
struct HotMetrics {
    hits: IntCounter,
    misses: IntCounter,
    bypassed: IntCounter,
}

impl HotMetrics {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let help = "Reads of objects that never change: from memory (hit), into it (miss), or past it (bypass)";
        let requests = IntCounterVec::new(Opts::new(names::OBJECTS_HOT_READS, help), &["outcome"])?;
        registry.register(Box::new(requests.clone()))?;
        let outcome = |outcome| requests.with_label_values(&[outcome]);
        Ok(Self { hits: outcome("hit"), misses: outcome("miss"), bypassed: outcome("bypass") })
    }
}

impl HotObjects {
    /// Reads from `objects`, and retains about `capacity_bytes` bytes; 0 for none.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        capacity_bytes: u64,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let retained = moka::sync::Cache::builder()
            .max_capacity(capacity_bytes)
            .weigher(|key: &ObjectKey, bytes: &Bytes| {
                let weight = key.as_str().len() as u64 + bytes.len() as u64 + OVERHEAD_BYTES;
                u32::try_from(weight).unwrap_or(u32::MAX)
            })
            .build();
        let (loading, metrics) = (Arc::new(Semaphore::new(MAX_LOADING_BYTES)), HotMetrics::register(registry)?);
        Ok(Self { objects, retained, loading, metrics })
    }

    /// The bytes of an object, as [`ObjectStore::get`] returns them; `None` when it does not exist.
    pub async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Option<ByteStream>, ObjectError> {
        if let Some(bytes) = self.retained.get(key) {
            self.metrics.hits.inc();
            return Ok(Some(once(part(&bytes, range))));
        }
        let is_whole = range.is_none();
        let Some((meta, bytes)) = self.objects.get(key, range).await? else { return Ok(None) };
        let size = usize::try_from(meta.size).unwrap_or(usize::MAX);
        let capacity = self.retained.policy().max_capacity().unwrap_or_default();
        let permits = u32::try_from(size).unwrap_or(u32::MAX);
        let fits = is_whole && meta.size <= MAX_OBJECT_BYTES.min(capacity);
        let Some(_loading) = fits.then(|| self.loading.try_acquire_many(permits).ok()).flatten() else {
            self.metrics.bypassed.inc();
            return Ok(Some(bytes));
        };
        self.metrics.misses.inc();
        let bytes = whole(bytes, size).await?;
        self.retained.insert(key.clone(), bytes.clone());
        Ok(Some(once(bytes)))
    }

    /// See [`ObjectStore::presign`].
    pub async fn presign(&self, key: &ObjectKey, ttl: Duration) -> Result<Option<String>, ObjectError> {
        self.objects.presign(key, ttl).await
    }
}

/// The range of `bytes`, as far as it exists.
fn part(bytes: &Bytes, range: Option<Range<u64>>) -> Bytes {
    let Some(range) = range else { return bytes.clone() };
    let clip = |position: u64| usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
    let (start, end) = (clip(range.start), clip(range.end));
    bytes.slice(start..end.max(start))
}

fn once(bytes: Bytes) -> ByteStream {
    stream::iter((!bytes.is_empty()).then_some(Ok(bytes))).boxed()
}

/// All bytes of an object with `size` bytes.
async fn whole(mut chunks: ByteStream, size: usize) -> Result<Bytes, ObjectError> {
    // Copied: a chunk of a network client can be a small slice of a large buffer, which it would retain.
    let mut bytes = BytesMut::with_capacity(size);
    while let Some(chunk) = chunks.try_next().await? {
        bytes.extend_from_slice(&chunk);
    }
    if bytes.len() == size {
        Ok(bytes.freeze())
    } else {
        Err(ObjectError::Unavailable(format!("the store returned {} of {size} bytes", bytes.len()).into()))
    }
}

#[cfg(test)]
#[path = "hot_tests.rs"]
mod tests;
