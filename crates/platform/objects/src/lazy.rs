//! An object store that is opened on first use.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::objects::{ByteStream, ObjectError, ObjectMeta, PutOptions};
use kennel_core::{Clock, ObjectKey, ObjectStore};
use tokio::sync::OnceCell;

use crate::config::ObjectsConfig;
use crate::connect::{ConnectError, connect};

/// The object store that a configuration names, opened by the first call. A call that cannot open it fails, and the
/// next one tries again.
pub struct LazyObjectStore {
    config: ObjectsConfig,
    clock: Arc<dyn Clock>,
    opened: OnceCell<Arc<dyn ObjectStore>>,
}

impl LazyObjectStore {
    /// Creates the object store that `config` names, without opening it.
    pub fn new(config: ObjectsConfig, clock: Arc<dyn Clock>) -> Self {
        Self { config, clock, opened: OnceCell::new() }
    }

    async fn opened(&self) -> Result<&Arc<dyn ObjectStore>, ObjectError> {
        Ok(self.opened.get_or_try_init(|| connect(&self.config, &*self.clock)).await?)
    }
}

impl From<ConnectError> for ObjectError {
    fn from(error: ConnectError) -> Self {
        let unavailable = matches!(
            &error,
            ConnectError::Bucket { source: Self::Unavailable(_), .. }
                | ConnectError::Directory { source: Self::Unavailable(_), .. }
        );
        if unavailable { Self::Unavailable(error.into()) } else { Self::Backend(error.into()) }
    }
}

#[async_trait]
impl ObjectStore for LazyObjectStore {
    async fn put(&self, key: &ObjectKey, body: ByteStream, options: &PutOptions) -> Result<ObjectMeta, ObjectError> {
        self.opened().await?.put(key, body, options).await
    }

    async fn get(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(ObjectMeta, ByteStream)>, ObjectError> {
        self.opened().await?.get(key, range).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, ObjectError> {
        self.opened().await?.head(key).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<bool, ObjectError> {
        self.opened().await?.delete(key).await
    }

    async fn list(&self, prefix: &str, after: Option<&ObjectKey>, limit: u32) -> Result<Vec<ObjectMeta>, ObjectError> {
        self.opened().await?.list(prefix, after, limit).await
    }

    async fn presign(&self, key: &ObjectKey, ttl: Duration) -> Result<Option<String>, ObjectError> {
        self.opened().await?.presign(key, ttl).await
    }

    async fn ping(&self) -> Result<(), ObjectError> {
        self.opened().await?.ping().await
    }
}

#[cfg(test)]
mod tests {
    use kennel_core::SystemClock;

    use super::*;

    #[tokio::test]
    async fn it_is_opened_on_first_use_and_retried_after_a_failure() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("objects");
        std::fs::write(&path, "in the way").unwrap();
        let config = ObjectsConfig { objects_path: path.clone(), ..ObjectsConfig::default() };
        let objects = LazyObjectStore::new(config, Arc::new(SystemClock));
        assert!(path.is_file(), "nothing has happened yet");
        objects.ping().await.unwrap_err();
        std::fs::remove_file(&path).unwrap();
        objects.ping().await.unwrap();
        assert!(path.is_dir());
    }
}
