//! Selects the object store that the configuration names, among those compiled in.

use std::path::PathBuf;
use std::sync::Arc;

use kennel_config::ConfigErrors;
use kennel_core::objects::ObjectError;
use kennel_core::{BackendError, BackendKind as _, Clock, ObjectStore};

use crate::FsObjects;
use crate::config::{Backend, ObjectsConfig};

/// Why the object store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The build does not contain the backend.
    #[error(transparent)]
    Absent(#[from] BackendError),
    /// The directory cannot be used.
    #[error("the directory {path} of the object store `fs` cannot be used")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: ObjectError,
    },
    /// Settings are missing or invalid.
    #[error(transparent)]
    Settings(#[from] ConfigErrors),
    /// The bucket cannot be used.
    #[error("the bucket {bucket} of the object store `s3` cannot be used")]
    Bucket {
        /// The bucket.
        bucket: String,
        /// The cause.
        #[source]
        source: ObjectError,
    },
}

/// Opens the object store that the configuration names. The only code that knows every adapter.
pub async fn connect(config: &ObjectsConfig, clock: &dyn Clock) -> Result<Arc<dyn ObjectStore>, ConnectError> {
    match config.objects {
        Backend::Fs => match FsObjects::open(&config.objects_path, clock).await {
            Ok(objects) => Ok(Arc::new(objects)),
            Err(source) => Err(ConnectError::Directory { path: config.objects_path.clone(), source }),
        },
        #[cfg(feature = "s3")]
        Backend::S3 => s3(config).await,
        #[expect(clippy::allow_attributes, reason = "whether there is an absent one depends on the features")]
        #[allow(unreachable_patterns)]
        absent => Err(absent.absent().into()),
    }
}

#[cfg(feature = "s3")]
async fn s3(config: &ObjectsConfig) -> Result<Arc<dyn ObjectStore>, ConnectError> {
    use kennel_config::Section as _;

    config.validate()?;
    match crate::S3Objects::open(config).await {
        Ok(objects) => Ok(Arc::new(objects)),
        Err(source) => {
            Err(ConnectError::Bucket { bucket: config.s3_storage_bucket.clone().unwrap_or_default(), source })
        }
    }
}

#[cfg(test)]
mod tests {
    use kennel_core::SystemClock;

    use super::*;

    #[tokio::test]
    async fn creates_its_directory() {
        let home = tempfile::tempdir().unwrap();
        let config = ObjectsConfig { objects_path: home.path().join("a/b"), ..ObjectsConfig::default() };
        connect(&config, &SystemClock).await.unwrap().ping().await.unwrap();
    }

    #[tokio::test]
    async fn errors_name_the_invalid_setting() {
        let s3 = ObjectsConfig { objects: Backend::S3, ..ObjectsConfig::default() };
        let error = connect(&s3, &SystemClock).await.err().unwrap().to_string();
        if Backend::S3.require().is_ok() {
            assert!(error.contains("S3_STORAGE_BUCKET (not set): must be set"), "{error}");
        } else {
            assert_eq!(error, Backend::S3.absent().to_string());
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let config = ObjectsConfig { objects_path: file.path().to_owned(), ..ObjectsConfig::default() };
        let error = connect(&config, &SystemClock).await.err().unwrap().to_string();
        assert!(error.contains(&file.path().display().to_string()), "{error}");
    }
}
