//! Settings of the object store.

use std::path::PathBuf;

use kennel_config::{ByteSize, Problems, Secret, Section};
use kennel_objects::{ObjectsConfig, S3Config};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The object store of images.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ObjectSettings {
    /// Which object store: `fs`, a directory, or another one that is compiled in, such as `s3`.
    #[schemars(with = "String")]
    #[serde(with = "kennel_core::backend")]
    pub objects: kennel_objects::Backend,
    /// The directory of `fs`; created if missing.
    #[schemars(with = "String")]
    pub objects_path: PathBuf,
    /// The maximum size of an image, from users and from the dog API.
    pub image_limit: ByteSize,
    /// The total memory for decoding images. An image that alone needs more is rejected: a JPEG needs 3 bytes per pixel, 11
    /// if it is progressive, a PNG 3 or 4, a GIF 8, a WebP 5 to 12.
    pub image_memory_limit: ByteSize,
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
}

impl Default for ObjectSettings {
    fn default() -> Self {
        Self {
            objects: kennel_objects::Backend::default(),
            objects_path: PathBuf::from("data/objects"),
            image_limit: ByteSize(10 * 1024 * 1024),
            // 21 megapixels of a common JPEG, within a container of 128 MiB.
            image_memory_limit: ByteSize(64 * 1024 * 1024),
            s3_storage_key: None,
            s3_storage_secret: None,
            s3_storage_bucket: None,
            s3_storage_endpoint: None,
            s3_storage_endpoint_public: None,
            s3_storage_region: None,
            s3_storage_create_bucket: false,
        }
    }
}

impl ObjectSettings {
    /// The configuration of the object store to open.
    pub fn objects(&self) -> ObjectsConfig {
        let s3 = S3Config {
            key: self.s3_storage_key.clone(),
            secret: self.s3_storage_secret.clone().map(Into::into),
            bucket: self.s3_storage_bucket.clone(),
            endpoint: self.s3_storage_endpoint.clone(),
            endpoint_public: self.s3_storage_endpoint_public.clone(),
            region: self.s3_storage_region.clone(),
            create_bucket: self.s3_storage_create_bucket,
            ..S3Config::default()
        };
        ObjectsConfig { backend: self.objects, path: self.objects_path.clone(), s3 }
    }
}

impl Section for ObjectSettings {
    const TITLE: &'static str = "Objects";

    fn check(&self, problems: &mut Problems) {
        let mut found = Vec::new();
        self.objects().check("", &mut found);
        for line in found {
            let (path, reason) = line.split_once(": ").unwrap_or(("", &line));
            let key =
                path.strip_prefix(".s3.").map_or_else(|| "objects".to_owned(), |name| format!("s3_storage_{name}"));
            problems.add(&key, reason);
        }
        if self.objects_path.as_os_str().is_empty() {
            problems.add("objects_path", "must name a directory");
        }
        if !(1..=256 * 1024 * 1024).contains(&self.image_limit.0) {
            problems.add("image_limit", "must be 1B to 256MiB");
        }
        if !(8 * 1024 * 1024..=1024 * 1024 * 1024).contains(&self.image_memory_limit.0) {
            problems.add("image_memory_limit", "must be 8MiB to 1GiB");
        }
    }
}
