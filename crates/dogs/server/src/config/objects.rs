//! Settings of the object store.

use std::path::PathBuf;

use kennel_config::{ByteSize, Problems, Secret, Section};
use kennel_objects::{ObjectsConfig, S3Config};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where pictures are kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ObjectSettings {
    /// Which object store: `fs`, a folder, or another that is compiled in, as `s3`.
    #[schemars(with = "String")]
    #[serde(with = "kennel_core::backend")]
    pub objects: kennel_objects::Backend,
    /// The folder of `fs`; made when missing.
    #[schemars(with = "String")]
    pub objects_path: PathBuf,
    /// The largest picture that is taken, from users and from the dog API.
    pub picture_limit: ByteSize,
    /// The memory that decoding pictures may take, all together. A picture that alone takes more is refused: a JPEG takes
    /// 3 bytes for a pixel, 11 where it is progressive, a PNG 3 or 4, a GIF 8, a WebP 5 to 12.
    pub picture_memory_limit: ByteSize,
    /// The id of the access key to S3.
    pub s3_storage_key: Option<String>,
    /// The secret of the access key to S3.
    pub s3_storage_secret: Option<Secret>,
    /// The bucket in S3.
    pub s3_storage_bucket: Option<String>,
    /// Base URL of what speaks the protocol of S3, as `http://minio:9000`. Unset: Amazon's own, by the region.
    pub s3_storage_endpoint: Option<String>,
    /// Base URL under which browsers reach the same store. Unset: as above.
    pub s3_storage_endpoint_public: Option<String>,
    /// The region of the bucket. Unset: `us-east-1` where an endpoint is set.
    pub s3_storage_region: Option<String>,
    /// Make the bucket when it is not there; for development.
    pub s3_storage_create_bucket: bool,
}

impl Default for ObjectSettings {
    fn default() -> Self {
        Self {
            objects: kennel_objects::Backend::default(),
            objects_path: PathBuf::from("data/objects"),
            picture_limit: ByteSize(10 * 1024 * 1024),
            // 21 megapixels of a common JPEG, within a container of 128 MiB.
            picture_memory_limit: ByteSize(64 * 1024 * 1024),
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
    /// What to open.
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
            problems.add("objects_path", "must name a folder");
        }
        if !(1..=256 * 1024 * 1024).contains(&self.picture_limit.0) {
            problems.add("picture_limit", "must be 1B to 256MiB");
        }
        if !(8 * 1024 * 1024..=1024 * 1024 * 1024).contains(&self.picture_memory_limit.0) {
            problems.add("picture_memory_limit", "must be 8MiB to 1GiB");
        }
    }
}
