//! Runs the conformance suite on every cache.

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

#[cfg(feature = "redis")]
mod support;

#[cfg(feature = "redis")]
mod redis {
    use std::sync::Arc;

    use kennel_cache::redis::RedisCache;
    use kennel_core::Cache;
    use kennel_testkit::conformance::Fresh;

    use super::support::Space;

    async fn fresh() -> Option<Fresh<Arc<dyn Cache>>> {
        let space = Space::new()?;
        let cache = RedisCache::connect(space.config()).await.expect("redis takes connections");
        Some(Fresh::within(space, Arc::new(cache)))
    }

    kennel_testkit::cache_conformance!(fresh);
}

#[cfg(feature = "redis")]
mod tiered {
    use std::sync::Arc;

    use kennel_cache::tiered::TieredCache;
    use kennel_core::Cache;
    use kennel_testkit::conformance::Fresh;

    use super::support::Space;

    async fn fresh() -> Option<Fresh<Arc<dyn Cache>>> {
        let space = Space::new()?;
        let cache = TieredCache::connect(space.config(), 16 * 1024 * 1024).await.expect("redis takes connections");
        Some(Fresh::within(space, Arc::new(cache)))
    }

    kennel_testkit::cache_conformance!(fresh);
}
