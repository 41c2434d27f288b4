//! Settings of the object store.

use std::path::PathBuf;
use std::time::Duration;

use kennel_config::{Problems, Secret, Section};
use kennel_core::BackendKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// The object store. Addresses, names and credentials of S3 have no default.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ObjectsConfig {
    /// Which object store: `fs`, a directory, or another one that is compiled in, such as `s3`.
    #[schemars(with = "String")]
    #[serde(with = "kennel_core::backend")]
    pub objects: Backend,
    /// The directory of `fs`; created if missing.
    #[schemars(with = "String")]
    pub objects_path: PathBuf,
    /// The access key id of S3.
    pub s3_storage_key: Option<String>,
    /// The secret access key of S3.
    pub s3_storage_secret: Option<Secret>,
    /// The bucket in S3.
    pub s3_storage_bucket: Option<String>,
    /// Base URL of an S3-compatible service, such as `http://minio:9000`. Unset: Amazon S3 in the region.
    pub s3_storage_endpoint: Option<String>,
    /// Base URL at which browsers reach the same service. Unset: as above.
    pub s3_storage_endpoint_public: Option<String>,
    /// The region of the bucket. Unset: `us-east-1` if an endpoint is set.
    pub s3_storage_region: Option<String>,
    /// Create the bucket if it is missing; for development.
    pub s3_storage_create_bucket: bool,
    /// Limits of S3 that are not settings.
    #[serde(skip)]
    pub s3: S3Tuning,
}

/// Limits of requests to S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct S3Tuning {
    /// Timeout of a connection attempt.
    pub connect_timeout: Duration,
    /// Timeout of one attempt of a request, until the response starts. There are up to three attempts within twice this
    /// time.
    pub timeout: Duration,
    /// Bodies up to this many bytes are sent in one request, longer ones as a multipart upload with parts of this size:
    /// 5 MiB, the minimum of S3, to 1 GiB. Two parts are in memory at a time.
    pub part_bytes: u64,
}

impl Default for S3Tuning {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(3), timeout: Duration::from_secs(15), part_bytes: 8 * 1024 * 1024 }
    }
}

impl Default for ObjectsConfig {
    fn default() -> Self {
        Self {
            objects: Backend::default(),
            objects_path: PathBuf::from("data/objects"),
            s3_storage_key: None,
            s3_storage_secret: None,
            s3_storage_bucket: None,
            s3_storage_endpoint: None,
            s3_storage_endpoint_public: None,
            s3_storage_region: None,
            s3_storage_create_bucket: false,
            s3: S3Tuning::default(),
        }
    }
}

impl Section for ObjectsConfig {
    const TITLE: &'static str = "Objects";

    fn check(&self, problems: &mut Problems) {
        if let Err(absent) = self.objects.require() {
            problems.add("objects", absent.to_string());
        } else if self.objects == Backend::S3 {
            self.check_s3(problems);
        }
        if self.objects_path.as_os_str().is_empty() {
            problems.add("objects_path", "must name a directory");
        }
    }
}

impl ObjectsConfig {
    fn check_s3(&self, problems: &mut Problems) {
        let needed = [
            ("s3_storage_key", self.s3_storage_key.is_none()),
            ("s3_storage_secret", self.s3_storage_secret.is_none()),
            ("s3_storage_bucket", self.s3_storage_bucket.as_deref().is_none_or(str::is_empty)),
            ("s3_storage_region", self.s3_storage_region.is_none() && self.s3_storage_endpoint.is_none()),
        ];
        for (key, _) in needed.into_iter().filter(|(_, missing)| *missing) {
            problems.add(key, "must be set when the object store is s3");
        }
        problems.check_base_url("s3_storage_endpoint", self.s3_storage_endpoint.as_deref());
        problems.check_base_url("s3_storage_endpoint_public", self.s3_storage_endpoint_public.as_deref());
    }

    /// Returns the effective region.
    #[cfg(feature = "s3")]
    pub(crate) fn region(&self) -> &str {
        self.s3_storage_region.as_deref().unwrap_or("us-east-1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3() -> ObjectsConfig {
        ObjectsConfig {
            objects: Backend::S3,
            s3_storage_key: Some("id".to_owned()),
            s3_storage_secret: Some("hunter2".into()),
            s3_storage_bucket: Some("dogs".to_owned()),
            s3_storage_endpoint: Some("http://minio:9000".to_owned()),
            ..ObjectsConfig::default()
        }
    }

    fn problems(config: &ObjectsConfig) -> Vec<String> {
        let errors = config.validate().err().map(|errors| errors.0).unwrap_or_default();
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_directory_is_required() {
        assert!(problems(&ObjectsConfig::default()).is_empty());
        let nowhere = ObjectsConfig { objects_path: PathBuf::new(), ..ObjectsConfig::default() };
        assert_eq!(problems(&nowhere), ["OBJECTS_PATH (not set): must name a directory"]);
    }

    #[test]
    fn a_backend_has_to_be_in_the_build() {
        let expected = Backend::S3.require().err().map(|absent| format!("OBJECTS (not set): {absent}"));
        assert_eq!(problems(&s3()), Vec::from_iter(expected));
    }

    #[cfg(feature = "s3")]
    #[test]
    fn addresses_and_credentials_are_required() {
        let found = problems(&ObjectsConfig { objects: Backend::S3, ..ObjectsConfig::default() });
        let names = ["KEY", "SECRET", "BUCKET", "REGION"];
        let expected =
            names.map(|name| format!("S3_STORAGE_{name} (not set): must be set when the object store is s3"));
        assert_eq!(found, expected);
        let region = Some("eu-west-1".to_owned());
        assert!(problems(&ObjectsConfig { s3_storage_endpoint: None, s3_storage_region: region, ..s3() }).is_empty());
    }

    #[cfg(feature = "s3")]
    #[test]
    fn endpoints_are_base_urls() {
        for bad in ["minio:9000", "ftp://minio", "http://", "http://u:p@minio", "http://minio?x", "http:///x"] {
            let config = ObjectsConfig { s3_storage_endpoint_public: Some(bad.to_owned()), ..s3() };
            assert_eq!(problems(&config).len(), 1, "{bad}");
        }
    }

    #[test]
    fn the_secret_is_shown_nowhere() {
        let shown = format!("{:?} {}", s3(), serde_json::to_string(&s3()).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
