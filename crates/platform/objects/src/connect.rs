//! Selects the object store that the configuration names, among those compiled in.

use std::path::PathBuf;
use std::sync::Arc;

use kennel_core::objects::ObjectError;
use kennel_core::{BackendError, BackendKind, Clock, ObjectStore};
use serde::{Deserialize, Serialize};

use crate::FsObjects;
use crate::s3_config::S3Config;

/// An object store backend; its name is a value of the variable `OBJECTS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Backend {
    /// A directory.
    #[default]
    Fs,
    /// S3, or a server with the same API.
    S3,
}

impl BackendKind for Backend {
    const KIND: &'static str = "object store";
    const ALL: &'static [(Self, &'static str, bool)] =
        &[(Self::Fs, "fs", true), (Self::S3, "s3", cfg!(feature = "s3"))];
}

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
    /// A setting is missing or invalid.
    #[error("the object store `{}` cannot be used: {}", backend.name(), problems.join("; "))]
    Settings {
        /// The object store.
        backend: Backend,
        /// One line per setting.
        problems: Vec<String>,
    },
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

/// Settings of the object store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectsConfig {
    /// The backend.
    #[serde(with = "kennel_core::backend")]
    pub backend: Backend,
    /// The directory of the backend `fs`; created if it does not exist.
    pub path: PathBuf,
    /// Settings of `s3`.
    pub s3: S3Config,
}

impl Default for ObjectsConfig {
    fn default() -> Self {
        Self { backend: Backend::default(), path: PathBuf::from("data/objects"), s3: S3Config::default() }
    }
}

impl ObjectsConfig {
    /// Adds one line for each invalid setting, starting with the setting's path.
    pub fn check(&self, path: &str, problems: &mut Vec<String>) {
        if let Err(absent) = self.backend.require() {
            problems.push(format!("{path}.backend: {absent}"));
        } else if self.backend == Backend::S3 {
            self.s3.check(&format!("{path}.s3"), problems);
        }
    }
}

/// Opens the object store that the configuration names. The only code that knows every adapter.
pub async fn connect(config: &ObjectsConfig, clock: &dyn Clock) -> Result<Arc<dyn ObjectStore>, ConnectError> {
    match config.backend {
        Backend::Fs => match FsObjects::open(&config.path, clock).await {
            Ok(objects) => Ok(Arc::new(objects)),
            Err(source) => Err(ConnectError::Directory { path: config.path.clone(), source }),
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
    let mut problems = Vec::new();
    config.s3.check("s3", &mut problems);
    if !problems.is_empty() {
        return Err(ConnectError::Settings { backend: config.backend, problems });
    }
    match crate::S3Objects::open(&config.s3).await {
        Ok(objects) => Ok(Arc::new(objects)),
        Err(source) => Err(ConnectError::Bucket { bucket: config.s3.bucket.clone().unwrap_or_default(), source }),
    }
}

#[cfg(test)]
mod tests {
    use kennel_core::SystemClock;

    use super::*;

    #[tokio::test]
    async fn creates_its_directory() {
        let home = tempfile::tempdir().unwrap();
        let config = ObjectsConfig { path: home.path().join("a/b"), ..ObjectsConfig::default() };
        connect(&config, &SystemClock).await.unwrap().ping().await.unwrap();
    }

    #[tokio::test]
    async fn errors_name_the_invalid_setting() {
        let s3 = ObjectsConfig { backend: Backend::S3, ..ObjectsConfig::default() };
        let error = connect(&s3, &SystemClock).await.err().unwrap().to_string();
        let mut problems = Vec::new();
        s3.check("objects", &mut problems);
        if Backend::S3.require().is_ok() {
            assert!(error.contains("s3.bucket: is needed"), "{error}");
            assert_eq!(problems.len(), 4);
        } else {
            assert_eq!(error, Backend::S3.absent().to_string());
            assert_eq!(problems, [format!("objects.backend: {error}")]);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let config = ObjectsConfig { path: file.path().to_owned(), ..ObjectsConfig::default() };
        let error = connect(&config, &SystemClock).await.err().unwrap().to_string();
        assert!(error.contains(&file.path().display().to_string()), "{error}");
    }
}
