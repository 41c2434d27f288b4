//! The cases that every cache must pass.

mod memory {
    use std::sync::Arc;

    use kennel_cache::memory::MemoryCache;
    use kennel_core::Cache;
    use kennel_testkit::conformance::Fresh;

    #[expect(clippy::unused_async, reason = "the suite awaits setups")]
    async fn fresh() -> Option<Fresh<Arc<dyn Cache>>> {
        Some(Fresh::new(Arc::new(MemoryCache::new(16 * 1024 * 1024))))
    }

    kennel_testkit::cache_conformance!(fresh);
}
