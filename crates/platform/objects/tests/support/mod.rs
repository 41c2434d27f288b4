//! A bucket of its own for each test.
#![allow(dead_code, clippy::allow_attributes, reason = "each test file needs a part of it")]

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use kennel_objects::{S3Config, S3Objects};
use kennel_testkit::Backend;

/// A bucket that goes away, with all that is in it, when dropped.
pub(crate) struct Bucket {
    name: String,
    endpoint: String,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| "minioadmin".to_owned())
}

impl Bucket {
    /// A bucket that is yet to be made, on the tests' S3; none where there is none.
    pub(crate) fn new() -> Option<Self> {
        Some(Self::at(Backend::S3.address()?))
    }

    /// A bucket that is yet to be made, on an S3 that checks signatures: the one that `TEST_S3_SIGNING_ENDPOINT`
    /// names, else the tests' S3.
    pub(crate) fn signing() -> Option<Self> {
        let own = std::env::var("TEST_S3_SIGNING_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty());
        own.or_else(|| Backend::S3.address()).map(Self::at)
    }

    fn at(endpoint: String) -> Self {
        Self { name: format!("test-{:032x}", rand::random::<u128>()), endpoint }
    }

    /// Settings for a machine with other things to do.
    pub(crate) fn config(&self) -> S3Config {
        S3Config {
            key: Some(variable("TEST_S3_KEY")),
            secret: Some(variable("TEST_S3_SECRET").into()),
            bucket: Some(self.name.clone()),
            endpoint: Some(self.endpoint.clone()),
            create_bucket: true,
            timeout: Duration::from_secs(20),
            ..S3Config::default()
        }
    }

    pub(crate) async fn open(&self) -> S3Objects {
        S3Objects::open(&self.config()).await.expect("the server makes buckets")
    }

    /// A client of the tests' own.
    pub(crate) fn client(&self) -> Client {
        let credentials = Credentials::new(variable("TEST_S3_KEY"), variable("TEST_S3_SECRET"), None, None, "tests");
        let settings = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(credentials)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(&self.endpoint)
            .force_path_style(true);
        Client::from_conf(settings.build())
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
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

impl Drop for Bucket {
    fn drop(&mut self) {
        // The test's runtime is busy with the test, or ending.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime starts").block_on(self.remove());
            });
        });
    }
}
