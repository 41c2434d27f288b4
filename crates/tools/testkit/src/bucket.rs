//! Buckets on a real S3, one per test, deleted after the test.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use kennel_core::{IdSource as _, UuidV7};

use crate::Backend;

/// Timeout of deleting a bucket.
const DELETE_TIMEOUT: Duration = Duration::from_secs(30);

/// The name of a bucket, which the user creates. The bucket and its objects are deleted when the value is dropped.
pub struct TestBucket {
    name: String,
    endpoint: String,
}

impl TestBucket {
    /// Reserves a bucket on the S3 of `TEST_S3_ENDPOINT`; `None` if the variable is not set.
    pub fn find() -> Option<Self> {
        Some(Self::at(Backend::S3.address()?))
    }

    /// Reserves a bucket on an S3 that verifies signatures: `TEST_S3_SIGNING_ENDPOINT`, or `TEST_S3_ENDPOINT` if that
    /// is not set.
    pub fn signing() -> Option<Self> {
        let own = std::env::var("TEST_S3_SIGNING_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty());
        own.or_else(|| Backend::S3.address()).map(Self::at)
    }

    fn at(endpoint: String) -> Self {
        Self { name: format!("test-{}", UuidV7.next().simple()), endpoint }
    }

    /// Name of the bucket.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Endpoint of the S3 server.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Id and secret of the access key: `TEST_S3_KEY` and `TEST_S3_SECRET`.
    pub fn access(&self) -> (String, String) {
        let variable = |name| std::env::var(name).unwrap_or_else(|_| "minioadmin".to_owned());
        (variable("TEST_S3_KEY"), variable("TEST_S3_SECRET"))
    }

    /// Variables of a service that creates the bucket and stores its objects in it.
    pub fn variables(&self) -> [(&'static str, String); 6] {
        let (key, secret) = self.access();
        [
            ("OBJECTS", "s3".to_owned()),
            ("S3_STORAGE_KEY", key),
            ("S3_STORAGE_SECRET", secret),
            ("S3_STORAGE_BUCKET", self.name.clone()),
            ("S3_STORAGE_ENDPOINT", self.endpoint.clone()),
            ("S3_STORAGE_CREATE_BUCKET", "true".to_owned()),
        ]
    }

    /// Creates a client for the test itself.
    pub fn client(&self) -> Client {
        let (key, secret) = self.access();
        let settings = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(key, secret, None, None, "tests"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(&self.endpoint)
            .force_path_style(true);
        Client::from_conf(settings.build())
    }

    async fn remove(&self) {
        let client = self.client();
        while let Ok(page) = client.list_objects_v2().bucket(&self.name).send().await {
            let keys: Vec<_> = page.contents.into_iter().flatten().filter_map(|object| object.key).collect();
            if keys.is_empty() {
                break;
            }
            for key in keys {
                drop(client.delete_object().bucket(&self.name).key(key).send().await);
            }
        }
        if let Err(error) = client.delete_bucket().bucket(&self.name).send().await {
            eprintln!("cannot delete bucket {}: {error:?}", self.name);
        }
    }
}

impl Drop for TestBucket {
    fn drop(&mut self) {
        // The test's runtime is busy with the test or shutting down.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let limited = async { tokio::time::timeout(DELETE_TIMEOUT, self.remove()).await.is_ok() };
                if !runtime.is_ok_and(|runtime| runtime.block_on(limited)) {
                    eprintln!("cannot delete bucket {} in time", self.name);
                }
            });
        });
    }
}
