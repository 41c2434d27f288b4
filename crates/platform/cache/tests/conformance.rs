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

/// Without a cache, there are counters still.
mod none {
    use kennel_cache::none::NoCache;
    use kennel_testkit::conformance::cache;

    #[tokio::test]
    async fn counts_for_its_process() {
        cache::counters_start_at_zero_and_are_separate(&NoCache::default()).await;
        cache::concurrent_increments_are_exact(&NoCache::default()).await;
        cache::a_counter_expires_after_its_creation(&NoCache::default()).await;
        cache::a_counter_out_of_range_is_an_error(&NoCache::default()).await;
    }
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
