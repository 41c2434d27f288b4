//! A separate bucket for each test.
#![allow(dead_code, clippy::allow_attributes, reason = "each test file needs a part of it")]

use std::ops::Deref;
use std::time::Duration;

use kennel_objects::{Backend, ObjectsConfig, S3Objects, S3Tuning};
use kennel_testkit::TestBucket;

/// A bucket that is deleted with its objects when dropped.
pub(crate) struct Bucket(TestBucket);

impl Deref for Bucket {
    type Target = TestBucket;

    fn deref(&self) -> &TestBucket {
        &self.0
    }
}

impl Bucket {
    /// A bucket that does not exist yet, on the tests' S3; `None` without one.
    pub(crate) fn new() -> Option<Self> {
        TestBucket::find().map(Self)
    }

    /// A bucket that does not exist yet, on an S3 that verifies signatures.
    pub(crate) fn signing() -> Option<Self> {
        TestBucket::signing().map(Self)
    }

    /// Settings with timeouts for a busy machine.
    pub(crate) fn config(&self) -> ObjectsConfig {
        let (key, secret) = self.access();
        ObjectsConfig {
            objects: Backend::S3,
            s3_storage_key: Some(key),
            s3_storage_secret: Some(secret.into()),
            s3_storage_bucket: Some(self.name().to_owned()),
            s3_storage_endpoint: Some(self.endpoint().to_owned()),
            s3_storage_create_bucket: true,
            s3: S3Tuning { timeout: Duration::from_secs(20), ..S3Tuning::default() },
            ..ObjectsConfig::default()
        }
    }

    pub(crate) async fn open(&self) -> S3Objects {
        S3Objects::open(&self.config()).await.expect("the server creates buckets")
    }
}
