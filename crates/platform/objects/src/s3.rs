//! Objects in a bucket of S3 or a server with the same API.
//!
//! A short body is one request. A longer one is a multipart upload, which the last request completes, or which is
//! aborted. Either way readers see the old object or the new one. With `skip_existing` the request that stores is
//! conditional (`If-None-Match: *`), so that one of several concurrent puts wins; the server must support this
//! condition.
//!
//! Times are the server's, in whole seconds. Listings of S3 have no content types, so each listed object needs a HEAD
//! request. A delete first checks that the object exists, so two concurrent deletes may both return true.

mod error;
mod upload;

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use aws_smithy_http_client::tls;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kennel_core::objects::{ByteStream, ObjectError, ObjectMeta, PutOptions, sniff};
use kennel_core::{ObjectKey, ObjectStore, Timestamp};
use tokio_util::task::TaskTracker;

use self::error::{classify, is_absent, is_conflict};
use self::upload::{BodyParts, Upload, UploadOutcome};
use crate::config::ObjectsConfig;

const OCTET_STREAM: &str = "application/octet-stream";
const MAX_ATTEMPTS: u32 = 3;
const ACCESS_DENIED: &str =
    "access is denied: the key is unknown, its secret is wrong, or it lacks the right s3:ListBucket";
/// Number of concurrent HEAD requests of a listing.
const CONCURRENT_HEADS: usize = 16;
/// Maximum lifetime of a presigned URL in S3.
const MAX_URL_TTL: Duration = Duration::from_hours(7 * 24);
/// Maximum offset in a range: larger than any object, and the largest that every server can parse.
const MAX_OFFSET: u64 = i64::MAX as u64;

/// See the [module](self). Cheap to clone.
#[derive(Debug, Clone)]
pub struct S3Objects {
    client: Client,
    /// Client for presigned URLs, with the public endpoint.
    public: Client,
    bucket: String,
    part_bytes: u64,
    aborting: TaskTracker,
}

impl S3Objects {
    /// Connects to the bucket. Fails if it does not exist, unless the settings allow creating it.
    pub async fn open(config: &ObjectsConfig) -> Result<Self, ObjectError> {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .build_https();
        let client = client(config, config.s3_storage_endpoint.as_deref(), http.clone());
        let public = client_for_urls(config, &client, http);
        let bucket = config.s3_storage_bucket.clone().unwrap_or_default();
        let objects = Self { client, public, bucket, part_bytes: config.s3.part_bytes, aborting: TaskTracker::new() };
        match objects.find_bucket().await {
            Ok(true) => Ok(objects),
            Ok(false) if config.s3_storage_create_bucket => {
                objects.create_bucket(config.region()).await.map(|()| objects)
            }
            Ok(false) => Err(ObjectError::Backend("the bucket does not exist".into())),
            Err(error) => Err(error),
        }
    }

    async fn find_bucket(&self) -> Result<bool, ObjectError> {
        match self.client.head_bucket().bucket(&self.bucket).send().await {
            Ok(_) => Ok(true),
            Err(error) if error::status(&error) == Some(404) => Ok(false),
            // The answer to a HEAD has no body that could say more.
            Err(error) if error::status(&error) == Some(403) => Err(ObjectError::Backend(ACCESS_DENIED.into())),
            Err(error) => Err(classify(error)),
        }
    }

    async fn create_bucket(&self, region: &str) -> Result<(), ObjectError> {
        // `us-east-1` is the only region that must not be named in the request.
        let location = (region != "us-east-1").then(|| {
            CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::from(region)).build()
        });
        let created =
            self.client.create_bucket().bucket(&self.bucket).set_create_bucket_configuration(location).send().await;
        match created {
            Ok(_) => Ok(()),
            // Another process may have created it in the meantime.
            Err(error) if self.find_bucket().await? => {
                tracing::debug!(error = &error as &dyn std::error::Error, "bucket exists already");
                Ok(())
            }
            Err(error) => Err(classify(error)),
        }
    }

    async fn put_single(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        content_type: &str,
        skip_existing: bool,
    ) -> Result<UploadOutcome, ObjectError> {
        let request = self.client.put_object().bucket(&self.bucket).key(key.as_str()).content_type(content_type);
        let request = request.set_if_none_match(skip_existing.then(|| "*".to_owned()));
        match request.body(bytes.into()).send().await {
            Ok(_) => Ok(UploadOutcome::Stored),
            Err(error) if skip_existing && is_conflict(&error) => Ok(UploadOutcome::AlreadyExists),
            Err(error) => Err(classify(error)),
        }
    }

    /// Runs on its own task: if the caller is dropped before the upload's id is known, the upload is still aborted.
    async fn begin_upload(&self, key: &ObjectKey, content_type: &str) -> Result<Upload, ObjectError> {
        let (client, bucket, aborting) = (self.client.clone(), self.bucket.clone(), self.aborting.clone());
        let (key, content_type) = (key.clone(), content_type.to_owned());
        let started = self.aborting.spawn(Upload::begin(client, bucket, key, content_type, aborting)).await;
        started.unwrap_or_else(|panicked| Err(ObjectError::Backend(panicked.into())))
    }

    /// Returns the metadata of an object after a put.
    async fn stored(&self, key: &ObjectKey) -> Result<ObjectMeta, ObjectError> {
        let found = self.head(key).await?;
        found.ok_or_else(|| ObjectError::Unavailable("the object was deleted during the put".into()))
    }

    async fn get_range(&self, key: &ObjectKey, range: &Range<u64>) -> Result<GetResult, ObjectError> {
        let range = format!("bytes={}-{}", range.start, range.end.min(MAX_OFFSET) - 1);
        match self.client.get_object().bucket(&self.bucket).key(key.as_str()).range(range).send().await {
            Ok(answer) => Ok(GetResult::Object(Box::new(answer))),
            Err(error) if error::status(&error) == Some(416) => Ok(GetResult::RangeNotSatisfiable),
            Err(error) if is_absent(&error) => Ok(GetResult::Missing),
            Err(error) => Err(classify(error)),
        }
    }

    async fn get_object(&self, key: &ObjectKey) -> Result<GetResult, ObjectError> {
        match self.client.get_object().bucket(&self.bucket).key(key.as_str()).send().await {
            Ok(answer) => Ok(GetResult::Object(Box::new(answer))),
            Err(error) if is_absent(&error) => Ok(GetResult::Missing),
            Err(error) => Err(classify(error)),
        }
    }

    /// Returns one page of keys, and whether more follow.
    async fn page(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<(Vec<String>, bool), ObjectError> {
        let limit = i32::try_from(limit.min(1_000)).unwrap_or(1_000);
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).max_keys(limit);
        let page = request.set_start_after(after.map(str::to_owned)).send().await.map_err(classify)?;
        let more = page.is_truncated.unwrap_or(false);
        Ok((page.contents.into_iter().flatten().filter_map(|object| object.key).collect(), more))
    }
}

/// Result of a GET request.
enum GetResult {
    Object(Box<GetObjectOutput>),
    /// The object exists, but the range starts past its end.
    RangeNotSatisfiable,
    Missing,
}

fn client(config: &ObjectsConfig, endpoint: Option<&str>, http: SharedHttpClient) -> Client {
    let secret = config.s3_storage_secret.as_ref().map(|secret| secret.expose().to_owned()).unwrap_or_default();
    let credentials =
        Credentials::new(config.s3_storage_key.clone().unwrap_or_default(), secret, None, None, "settings");
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(config.s3.connect_timeout)
        .operation_attempt_timeout(config.s3.timeout)
        .operation_timeout(config.s3.timeout * 2);
    let retries = RetryConfig::standard()
        .with_max_attempts(MAX_ATTEMPTS)
        .with_initial_backoff(Duration::from_millis(100))
        .with_max_backoff(Duration::from_secs(1));
    let mut settings = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(config.region().to_owned()))
        .credentials_provider(credentials)
        .http_client(http)
        .timeout_config(timeouts.build())
        .retry_config(retries)
        .stalled_stream_protection(StalledStreamProtectionConfig::enabled().grace_period(config.s3.timeout).build())
        // Signatures cover the bodies already, and some servers do not support further checksums.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .force_path_style(config.s3_storage_endpoint.is_some());
    settings.set_endpoint_url(endpoint.map(str::to_owned));
    Client::from_conf(settings.build())
}

fn client_for_urls(config: &ObjectsConfig, own: &Client, http: SharedHttpClient) -> Client {
    match config.s3_storage_endpoint_public.as_deref() {
        Some(endpoint) => client(config, Some(endpoint), http),
        None => own.clone(),
    }
}

fn meta(
    key: &ObjectKey,
    size: Option<u64>,
    content_type: Option<&str>,
    modified: Option<&DateTime>,
) -> Result<ObjectMeta, ObjectError> {
    let unreadable = || ObjectError::Backend("the response has no size or time of the object".into());
    let modified = modified.and_then(|time| time.to_millis().ok()).ok_or_else(unreadable)?;
    Ok(ObjectMeta {
        key: key.clone(),
        size: size.ok_or_else(unreadable)?,
        content_type: content_type.unwrap_or(OCTET_STREAM).to_owned(),
        modified: Timestamp::from_millis(modified).map_err(|error| ObjectError::Backend(error.into()))?,
    })
}

/// Returns the length of the whole object, also from the response to a range request.
fn size(answer: &GetObjectOutput) -> Option<u64> {
    match answer.content_range() {
        Some(range) => range.rsplit_once('/')?.1.parse().ok(),
        None => u64::try_from(answer.content_length()?).ok(),
    }
}

fn chunks(body: aws_sdk_s3::primitives::ByteStream) -> ByteStream {
    let next = async |mut body: aws_sdk_s3::primitives::ByteStream| {
        let chunk = body.try_next().await.map_err(|error| ObjectError::Unavailable(error.into()))?;
        Ok(chunk.map(|chunk| (chunk, body)))
    };
    stream::try_unfold(body, next).boxed()
}

#[async_trait]
impl ObjectStore for S3Objects {
    async fn put(&self, key: &ObjectKey, body: ByteStream, options: &PutOptions) -> Result<ObjectMeta, ObjectError> {
        let skip_existing = options.skip_existing;
        if skip_existing && let Some(existing) = self.head(key).await? {
            return Ok(existing);
        }
        let mut parts = BodyParts::new(body, options.max_bytes, self.part_bytes);
        let first = parts.next().await?;
        let content_type = options.content_type.as_deref().or_else(|| sniff(&first)).unwrap_or(OCTET_STREAM);
        if !parts.is_done() {
            let upload = self.begin_upload(key, content_type).await?;
            upload.run(first, &mut parts, skip_existing).await?;
            return self.stored(key).await;
        }
        for _ in 1..MAX_ATTEMPTS {
            match self.put_single(key, first.clone(), content_type, skip_existing).await? {
                UploadOutcome::Stored => return self.stored(key).await,
                // The conflict may be with a put that failed afterwards, or with a delete.
                UploadOutcome::AlreadyExists => {
                    if let Some(existing) = self.head(key).await? {
                        return Ok(existing);
                    }
                }
            }
        }
        self.put_single(key, first, content_type, skip_existing).await?;
        self.stored(key).await
    }

    async fn get(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(ObjectMeta, ByteStream)>, ObjectError> {
        let result = match &range {
            None => self.get_object(key).await?,
            Some(range) if range.start < range.end.min(MAX_OFFSET) => self.get_range(key, range).await?,
            Some(_) => GetResult::RangeNotSatisfiable,
        };
        match result {
            GetResult::Object(answer) => {
                let meta = meta(key, size(&answer), answer.content_type(), answer.last_modified())?;
                Ok(Some((meta, chunks(answer.body))))
            }
            GetResult::RangeNotSatisfiable => Ok(self.head(key).await?.map(|meta| (meta, stream::empty().boxed()))),
            GetResult::Missing => Ok(None),
        }
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, ObjectError> {
        match self.client.head_object().bucket(&self.bucket).key(key.as_str()).send().await {
            Ok(answer) => {
                let size = answer.content_length().and_then(|length| u64::try_from(length).ok());
                meta(key, size, answer.content_type(), answer.last_modified()).map(Some)
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(classify(error)),
        }
    }

    async fn delete(&self, key: &ObjectKey) -> Result<bool, ObjectError> {
        if self.head(key).await?.is_none() {
            return Ok(false);
        }
        match self.client.delete_object().bucket(&self.bucket).key(key.as_str()).send().await {
            Ok(_) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(classify(error)),
        }
    }

    async fn list(&self, prefix: &str, after: Option<&ObjectKey>, limit: u32) -> Result<Vec<ObjectMeta>, ObjectError> {
        // Servers reject prefixes such as `..`, which no key can have.
        let limit = if ObjectKey::is_valid_prefix(prefix) { limit as usize } else { 0 };
        let (mut found, mut after) = (Vec::new(), after.map(|key| key.as_str().to_owned()));
        while found.len() < limit {
            let (names, more) = self.page(prefix, after.as_deref(), limit - found.len()).await?;
            after = names.last().cloned().or(after);
            // Other objects in the bucket, whose names are not valid keys, are ignored.
            let keys: Vec<ObjectKey> =
                names.iter().filter(|name| name.starts_with(prefix)).filter_map(|name| name.parse().ok()).collect();
            let heads = stream::iter(keys).map(|key| async move { self.head(&key).await }).buffered(CONCURRENT_HEADS);
            found.extend(heads.try_collect::<Vec<_>>().await?.into_iter().flatten());
            if !more || names.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    async fn presign(&self, key: &ObjectKey, ttl: Duration) -> Result<Option<String>, ObjectError> {
        let ttl = ttl.clamp(Duration::from_secs(1), MAX_URL_TTL);
        let ttl = PresigningConfig::expires_in(ttl).map_err(|error| ObjectError::Backend(error.into()))?;
        let request = self.public.get_object().bucket(&self.bucket).key(key.as_str());
        let url = request.presigned(ttl).await.map_err(classify)?;
        Ok(Some(url.uri().to_owned()))
    }

    async fn ping(&self) -> Result<(), ObjectError> {
        match self.find_bucket().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(ObjectError::Unavailable("the bucket does not exist".into())),
            Err(error) => Err(ObjectError::Unavailable(error.into())),
        }
    }
}
