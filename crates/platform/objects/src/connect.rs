//! Picks the object store that the configuration names, among those compiled in.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use kennel_core::objects::ObjectError;
use kennel_core::{Clock, ObjectStore};
use serde::{Deserialize, Serialize};

use crate::FsObjects;
use crate::s3_config::S3Config;

/// An object store by its name, as the variable `OBJECTS` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// A directory.
    #[default]
    Fs,
    /// S3, or what speaks its protocol.
    S3,
}

impl Backend {
    /// Every object store there is, compiled in or not.
    pub const ALL: &'static [Self] = &[Self::Fs, Self::S3];
    /// The object stores that this build has.
    pub const COMPILED_IN: &'static [Self] = &[
        Self::Fs,
        #[cfg(feature = "s3")]
        Self::S3,
    ];

    /// Its name, which is also that of the Cargo feature that compiles it in.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fs => "fs",
            Self::S3 => "s3",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no object store's.
#[derive(Debug, thiserror::Error)]
#[error("no object store is called that; there are {}", names(Backend::ALL))]
pub struct UnknownBackend;

impl FromStr for Backend {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.iter().find(|backend| backend.name() == text);
        named.copied().ok_or(UnknownBackend)
    }
}

/// Why there is no object store to use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The build lacks it.
    #[error("the object store `{0}` is not compiled in: this build has {built}; build with the feature `{0}`", built = names(Backend::COMPILED_IN))]
    NotCompiledIn(Backend),
    /// The directory cannot be used.
    #[error("the directory of objects, {path}, cannot be used")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: ObjectError,
    },
    /// A setting is missing or cannot work.
    #[error("the object store `{backend}` cannot be used: {}", problems.join("; "))]
    Settings {
        /// The object store.
        backend: Backend,
        /// One line for each such setting.
        problems: Vec<String>,
    },
    /// The bucket cannot be used.
    #[error("the bucket of objects, {bucket}, cannot be used")]
    Bucket {
        /// The bucket.
        bucket: String,
        /// Why.
        #[source]
        source: ObjectError,
    },
}

fn names(backends: &[Backend]) -> String {
    let names: Vec<_> = backends.iter().map(|backend| backend.name()).collect();
    names.join(", ")
}

/// Which object store, and where.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectsConfig {
    /// Which object store.
    pub backend: Backend,
    /// The directory of the filesystem's store; made when it is not there.
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
    /// Adds one line for each setting that cannot work, led by the setting's path.
    pub fn check(&self, path: &str, problems: &mut Vec<String>) {
        if !Backend::COMPILED_IN.contains(&self.backend) {
            problems.push(format!("{path}.backend: {}", ConnectError::NotCompiledIn(self.backend)));
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
        #[cfg(not(feature = "s3"))]
        Backend::S3 => Err(ConnectError::NotCompiledIn(config.backend)),
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

    #[test]
    fn every_backend_is_known_by_its_name() {
        for backend in Backend::ALL {
            assert_eq!(backend.name().parse::<Backend>().unwrap(), *backend);
            assert_eq!(serde_json::to_string(backend).unwrap(), format!("\"{backend}\""));
        }
        let unknown = "tape".parse::<Backend>().unwrap_err();
        assert_eq!(unknown.to_string(), "no object store is called that; there are fs, s3");
    }

    #[tokio::test]
    async fn opens_a_directory_that_it_makes() {
        let home = tempfile::tempdir().unwrap();
        let config = ObjectsConfig { path: home.path().join("a/b"), ..ObjectsConfig::default() };
        connect(&config, &SystemClock).await.unwrap().ping().await.unwrap();
    }

    #[tokio::test]
    async fn says_what_is_wrong() {
        let s3 = ObjectsConfig { backend: Backend::S3, ..ObjectsConfig::default() };
        let error = connect(&s3, &SystemClock).await.err().unwrap().to_string();
        let mut problems = Vec::new();
        s3.check("objects", &mut problems);
        if Backend::COMPILED_IN.contains(&Backend::S3) {
            assert!(error.contains("s3.bucket: is needed"), "{error}");
            assert_eq!(problems.len(), 4);
        } else {
            assert!(error.contains("this build has fs") && error.contains("feature `s3`"), "{error}");
            assert_eq!(problems, [format!("objects.backend: {error}")]);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let config = ObjectsConfig { path: file.path().to_owned(), ..ObjectsConfig::default() };
        let error = connect(&config, &SystemClock).await.err().unwrap().to_string();
        assert!(error.contains(&file.path().display().to_string()), "{error}");
    }
}
