//! Runs the conformance suite on every object store.

mod fs {
    use std::sync::Arc;

    use kennel_core::{ObjectStore, SystemClock};
    use kennel_objects::{FsObjects, InstrumentedObjectStore, ObjectMetrics};
    use kennel_testkit::conformance::Fixture;

    /// The store with its decorator, which must not change its behaviour.
    async fn fresh() -> Option<Fixture<Arc<dyn ObjectStore>>> {
        let home = tempfile::tempdir().ok()?;
        let metrics = ObjectMetrics::register(&prometheus::Registry::new()).ok()?;
        let objects = FsObjects::open(home.path(), &SystemClock).await.ok()?;
        Some(Fixture::with_resources(home, Arc::new(InstrumentedObjectStore::new(Arc::new(objects), metrics))))
    }

    #[tokio::test]
    async fn opens() {
        assert!(fresh().await.is_some());
    }

    kennel_testkit::objects_conformance!(fresh);
}

#[cfg(feature = "s3")]
mod support;

#[cfg(feature = "s3")]
mod s3 {
    use std::sync::Arc;

    use futures_util::{StreamExt as _, stream};
    use kennel_core::objects::PutOptions;
    use kennel_core::{ObjectKey, ObjectStore};
    use kennel_testkit::conformance::Fixture;

    use super::support::Bucket;

    /// Cases that fail on a server that stores each object in a file with the name of its key.
    const BEYOND_FILES: &[&str] = &[
        "misses_an_unknown_key",
        "one_of_concurrent_puts_wins",
        "deleting_retains_other_objects",
        "stores_a_key_and_one_below_it",
        "accepts_the_longest_keys",
        "lists_in_byte_order",
        "lists_by_prefix",
        "lists_in_pages",
    ];

    async fn fresh() -> Option<Fixture<Arc<dyn ObjectStore>>> {
        let bucket = Bucket::new()?;
        let objects: Arc<dyn ObjectStore> = Arc::new(bucket.open().await);
        let required = std::env::var("REQUIRE_BACKENDS").unwrap_or_default();
        // A required server has to pass everything.
        let excluded = !required.split(',').any(|name| name.trim() == "s3") && stores_objects_as_files(&*objects).await;
        let fresh = Fixture::with_resources(bucket, objects);
        Some(if excluded { fresh.excluding(BEYOND_FILES) } else { fresh })
    }

    /// Returns whether the server cannot store an object whose key extends another one.
    async fn stores_objects_as_files(objects: &dyn ObjectStore) -> bool {
        let options = PutOptions { content_type: None, max_bytes: 1, skip_existing: false };
        let (above, below): (ObjectKey, ObjectKey) =
            ("probe".parse().expect("a key"), "probe/below".parse().expect("a key"));
        objects.put(&above, stream::empty().boxed(), &options).await.expect("the server takes objects");
        let refused = objects.put(&below, stream::empty().boxed(), &options).await.is_err();
        for key in [below, above] {
            drop(objects.delete(&key).await);
        }
        refused
    }

    kennel_testkit::objects_conformance!(fresh);
}
