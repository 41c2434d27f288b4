//! Buckets on a real S3, one for each test, that go away with it.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use kennel_core::{IdSource as _, UuidV7};

use crate::Backend;

const PATIENCE: Duration = Duration::from_secs(30);

/// A bucket that is yet to be made, by who uses it. It goes away with the value, and all that is in it.
pub struct TestBucket {
    name: String,
    endpoint: String,
}

impl TestBucket {
    /// One on the S3 of `TEST_S3_ENDPOINT`; `None` when there is none.
    pub fn find() -> Option<Self> {
        Some(Self::at(Backend::S3.address()?))
    }

    /// One on an S3 that checks signatures: the one that `TEST_S3_SIGNING_ENDPOINT` names, else that of the tests.
    pub fn signing() -> Option<Self> {
        let own = std::env::var("TEST_S3_SIGNING_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty());
        own.or_else(|| Backend::S3.address()).map(Self::at)
    }

    fn at(endpoint: String) -> Self {
        Self { name: format!("test-{}", UuidV7.next().simple()), endpoint }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The id and the secret of the access key: `TEST_S3_KEY` and `TEST_S3_SECRET`.
    pub fn access(&self) -> (String, String) {
        let variable = |name| std::env::var(name).unwrap_or_else(|_| "minioadmin".to_owned());
        (variable("TEST_S3_KEY"), variable("TEST_S3_SECRET"))
    }

    /// What makes a service keep its objects here, and make the bucket.
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

    /// A client of the test's own.
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
            eprintln!("the bucket {} is left behind: {error:?}", self.name);
        }
    }
}

impl Drop for TestBucket {
    fn drop(&mut self) {
        // The test's runtime is busy with the test, or ending.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let limited = async { tokio::time::timeout(PATIENCE, self.remove()).await.is_ok() };
                if !runtime.is_ok_and(|runtime| runtime.block_on(limited)) {
                    eprintln!("the bucket {} is left behind", self.name);
                }
            });
        });
    }
}
