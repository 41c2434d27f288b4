//! A separate bucket for each test.
#![allow(dead_code, clippy::allow_attributes, reason = "each test file needs a part of it")]

use std::ops::Deref;
use std::time::Duration;

use kennel_objects::{S3Config, S3Objects};
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
    pub(crate) fn config(&self) -> S3Config {
        let (key, secret) = self.access();
        S3Config {
            key: Some(key),
            secret: Some(secret.into()),
            bucket: Some(self.name().to_owned()),
            endpoint: Some(self.endpoint().to_owned()),
            create_bucket: true,
            timeout: Duration::from_secs(20),
            ..S3Config::default()
        }
    }

    pub(crate) async fn open(&self) -> S3Objects {
        S3Objects::open(&self.config()).await.expect("the server creates buckets")
    }
}
