//! Runs the conformance suite on every cache.

mod memory {
    use std::sync::Arc;

    use kennel_cache::memory::MemoryCache;
    use kennel_core::Cache;
    use kennel_testkit::conformance::Fixture;

    #[expect(clippy::unused_async, reason = "the suite awaits setups")]
    async fn fresh() -> Option<Fixture<Arc<dyn Cache>>> {
        Some(Fixture::new(Arc::new(MemoryCache::new(16 * 1024 * 1024))))
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
    use kennel_testkit::conformance::Fixture;

    use super::support::Space;

    async fn fresh() -> Option<Fixture<Arc<dyn Cache>>> {
        let space = Space::new()?;
        let cache = RedisCache::connect(&space.config(), space.prefix()).await.expect("redis takes connections");
        Some(Fixture::with_resources(space, Arc::new(cache)))
    }

    kennel_testkit::cache_conformance!(fresh);
}

#[cfg(feature = "redis")]
mod tiered {
    use std::sync::Arc;

    use kennel_cache::tiered::TieredCache;
    use kennel_core::Cache;
    use kennel_testkit::conformance::Fixture;

    use super::support::Space;

    async fn fresh() -> Option<Fixture<Arc<dyn Cache>>> {
        let space = Space::new()?;
        let cache = TieredCache::connect(&space.config(), space.prefix()).await.expect("redis takes connections");
        Some(Fixture::with_resources(space, Arc::new(cache)))
    }

    kennel_testkit::cache_conformance!(fresh);
}
