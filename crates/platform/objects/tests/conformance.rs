//! The cases that every object store must pass.

mod fs {
    use std::sync::Arc;

    use kennel_core::{ObjectStore, SystemClock};
    use kennel_objects::{FsObjects, Metered, ObjectMetrics};
    use kennel_testkit::conformance::Fresh;

    /// The store behind its decorator, which must not change what it does.
    async fn fresh() -> Option<Fresh<Arc<dyn ObjectStore>>> {
        let home = tempfile::tempdir().ok()?;
        let metrics = ObjectMetrics::register(&prometheus::Registry::new()).ok()?;
        let objects = FsObjects::open(home.path(), &SystemClock).await.ok()?;
        Some(Fresh::within(home, Arc::new(Metered::new(Arc::new(objects), metrics))))
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
    use kennel_testkit::conformance::Fresh;

    use super::support::Bucket;

    /// What a server cannot pass that keeps each object in the file of its key's name.
    const BEYOND_FILES: &[&str] = &[
        "misses_what_was_never_put",
        "of_many_keeping_puts_one_wins",
        "deleting_leaves_the_neighbours",
        "keeps_a_key_and_one_below_it",
        "takes_the_longest_keys",
        "lists_by_key_in_the_order_of_bytes",
        "lists_by_prefix",
        "lists_in_pages",
    ];

    async fn fresh() -> Option<Fresh<Arc<dyn ObjectStore>>> {
        let bucket = Bucket::new()?;
        let objects: Arc<dyn ObjectStore> = Arc::new(bucket.open().await);
        let required = std::env::var("REQUIRE_BACKENDS").unwrap_or_default();
        // A required server has to pass everything.
        let left_out = !required.split(',').any(|name| name.trim() == "s3") && keeps_files(&*objects).await;
        let fresh = Fresh::within(bucket, objects);
        Some(if left_out { fresh.leaving_out(BEYOND_FILES) } else { fresh })
    }

    /// Whether the server cannot keep an object and another one below it.
    async fn keeps_files(objects: &dyn ObjectStore) -> bool {
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
