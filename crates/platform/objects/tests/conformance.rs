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
