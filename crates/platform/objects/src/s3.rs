//! Objects in a bucket of S3, or of what speaks its protocol.
//!
//! A short body is one request; a longer one goes in parts, which become the object in one last request or are called
//! off. Either way readers see the old object or the new one. Where an existing object is to be kept, the request that
//! stores is conditional (`If-None-Match: *`), so that of many one wins; the server must know that condition.
//!
//! Times are those of the server, in whole seconds. Listings of S3 lack content types, so each listed object is asked
//! for. A delete asks first whether the object is there: of two at a time, both may hear that it was.

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
use secrecy::ExposeSecret as _;
use tokio_util::task::TaskTracker;

use self::error::{classify, is_absent, is_taken};
use self::upload::{Ending, Parts, Upload};
use crate::s3_config::S3Config;

const OCTETS: &str = "application/octet-stream";
const TRIES: u32 = 3;
const REFUSED: &str = "access is denied: the key is unknown, its secret is wrong, or it lacks the right s3:ListBucket";
/// How many objects of a listing are asked for at a time.
const HEADS: usize = 16;
/// The longest that S3 lets a presigned URL live.
const LONGEST_URL: Duration = Duration::from_hours(7 * 24);
/// Offsets beyond are beyond every object, and not all servers can count them.
const FARTHEST: u64 = i64::MAX as u64;

/// See the [module](self). Cheap to clone.
#[derive(Debug, Clone)]
pub struct S3Objects {
    client: Client,
    /// Makes the URLs that are handed out.
    public: Client,
    bucket: String,
    part_bytes: u64,
    aborting: TaskTracker,
}

impl S3Objects {
    /// Uses the bucket, which must be there, unless the settings let it be made.
    pub async fn open(config: &S3Config) -> Result<Self, ObjectError> {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .build_https();
        let client = client(config, config.endpoint.as_deref(), http.clone());
        let public = client_for_urls(config, &client, http);
        let bucket = config.bucket.clone().unwrap_or_default();
        let objects = Self { client, public, bucket, part_bytes: config.part_bytes, aborting: TaskTracker::new() };
        match objects.find_bucket().await {
            Ok(true) => Ok(objects),
            Ok(false) if config.create_bucket => objects.create_bucket(config.region()).await.map(|()| objects),
            Ok(false) => Err(ObjectError::Backend("the bucket is not there".into())),
            Err(error) => Err(error),
        }
    }

    async fn find_bucket(&self) -> Result<bool, ObjectError> {
        match self.client.head_bucket().bucket(&self.bucket).send().await {
            Ok(_) => Ok(true),
            Err(error) if error::status(&error) == Some(404) => Ok(false),
            // The answer to a HEAD has no body that could say more.
            Err(error) if error::status(&error) == Some(403) => Err(ObjectError::Backend(REFUSED.into())),
            Err(error) => Err(classify(error)),
        }
    }

    async fn create_bucket(&self, region: &str) -> Result<(), ObjectError> {
        // `us-east-1` is the one region that may not be named.
        let place = (region != "us-east-1").then(|| {
            CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::from(region)).build()
        });
        let created =
            self.client.create_bucket().bucket(&self.bucket).set_create_bucket_configuration(place).send().await;
        match created {
            Ok(_) => Ok(()),
            // Another process may have been faster.
            Err(error) if self.find_bucket().await? => {
                tracing::debug!(error = &error as &dyn std::error::Error, "the bucket is there already");
                Ok(())
            }
            Err(error) => Err(classify(error)),
        }
    }

    async fn put_whole(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        content_type: &str,
        skip_existing: bool,
    ) -> Result<Ending, ObjectError> {
        let request = self.client.put_object().bucket(&self.bucket).key(key.as_str()).content_type(content_type);
        let request = request.set_if_none_match(skip_existing.then(|| "*".to_owned()));
        match request.body(bytes.into()).send().await {
            Ok(_) => Ok(Ending::Stored),
            Err(error) if skip_existing && is_taken(&error) => Ok(Ending::Taken),
            Err(error) => Err(classify(error)),
        }
    }

    /// On a task of its own: when the caller goes away before the upload's id is known, the upload is called off still.
    async fn begin_upload(&self, key: &ObjectKey, content_type: &str) -> Result<Upload, ObjectError> {
        let (client, bucket, aborting) = (self.client.clone(), self.bucket.clone(), self.aborting.clone());
        let (key, content_type) = (key.clone(), content_type.to_owned());
        let begun = self.aborting.spawn(Upload::begin(client, bucket, key, content_type, aborting)).await;
        begun.unwrap_or_else(|panicked| Err(ObjectError::Backend(panicked.into())))
    }

    /// What is known of an object that was put, or was there to be kept.
    async fn stored(&self, key: &ObjectKey) -> Result<ObjectMeta, ObjectError> {
        let found = self.head(key).await?;
        found.ok_or_else(|| ObjectError::Unavailable("the object was removed as it was stored".into()))
    }

    async fn get_part(&self, key: &ObjectKey, range: &Range<u64>) -> Result<Got, ObjectError> {
        let range = format!("bytes={}-{}", range.start, range.end.min(FARTHEST) - 1);
        match self.client.get_object().bucket(&self.bucket).key(key.as_str()).range(range).send().await {
            Ok(answer) => Ok(Got::Object(Box::new(answer))),
            Err(error) if error::status(&error) == Some(416) => Ok(Got::NoSuchRange),
            Err(error) if is_absent(&error) => Ok(Got::Nothing),
            Err(error) => Err(classify(error)),
        }
    }

    async fn get_whole(&self, key: &ObjectKey) -> Result<Got, ObjectError> {
        match self.client.get_object().bucket(&self.bucket).key(key.as_str()).send().await {
            Ok(answer) => Ok(Got::Object(Box::new(answer))),
            Err(error) if is_absent(&error) => Ok(Got::Nothing),
            Err(error) => Err(classify(error)),
        }
    }

    /// One page of keys, and whether there are more behind it.
    async fn page(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<(Vec<String>, bool), ObjectError> {
        let limit = i32::try_from(limit.min(1_000)).unwrap_or(1_000);
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).max_keys(limit);
        let page = request.set_start_after(after.map(str::to_owned)).send().await.map_err(classify)?;
        let more = page.is_truncated.unwrap_or(false);
        Ok((page.contents.into_iter().flatten().filter_map(|object| object.key).collect(), more))
    }
}

/// What a get came to.
enum Got {
    Object(Box<GetObjectOutput>),
    /// The object is there, and the range lies behind it.
    NoSuchRange,
    Nothing,
}

fn client(config: &S3Config, endpoint: Option<&str>, http: SharedHttpClient) -> Client {
    let secret = config.secret.as_ref().map(|secret| secret.expose_secret().to_owned()).unwrap_or_default();
    let credentials = Credentials::new(config.key.clone().unwrap_or_default(), secret, None, None, "settings");
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(config.connect_timeout)
        .operation_attempt_timeout(config.timeout)
        .operation_timeout(config.timeout * 2);
    let retries = RetryConfig::standard()
        .with_max_attempts(TRIES)
        .with_initial_backoff(Duration::from_millis(100))
        .with_max_backoff(Duration::from_secs(1));
    let mut settings = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(config.region().to_owned()))
        .credentials_provider(credentials)
        .http_client(http)
        .timeout_config(timeouts.build())
        .retry_config(retries)
        .stalled_stream_protection(StalledStreamProtectionConfig::enabled().grace_period(config.timeout).build())
        // Bodies are signed; more checksums are more than some servers know.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .force_path_style(config.path_style());
    settings.set_endpoint_url(endpoint.map(str::to_owned));
    Client::from_conf(settings.build())
}

fn client_for_urls(config: &S3Config, own: &Client, http: SharedHttpClient) -> Client {
    match config.endpoint_public.as_deref() {
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
    let unreadable = || ObjectError::Backend("the answer lacks the object's size or time".into());
    let modified = modified.and_then(|time| time.to_millis().ok()).ok_or_else(unreadable)?;
    Ok(ObjectMeta {
        key: key.clone(),
        size: size.ok_or_else(unreadable)?,
        content_type: content_type.unwrap_or(OCTETS).to_owned(),
        modified: Timestamp::from_millis(modified).map_err(|error| ObjectError::Backend(error.into()))?,
    })
}

/// The length of the object that an answer is of, or of a part of which it is.
fn size(answer: &GetObjectOutput) -> Option<u64> {
    match answer.content_range() {
        Some(range) => range.rsplit_once('/')?.1.parse().ok(),
        None => u64::try_from(answer.content_length()?).ok(),
    }
}

fn pieces(body: aws_sdk_s3::primitives::ByteStream) -> ByteStream {
    let next = async |mut body: aws_sdk_s3::primitives::ByteStream| {
        let piece = body.try_next().await.map_err(|error| ObjectError::Unavailable(error.into()))?;
        Ok(piece.map(|piece| (piece, body)))
    };
    stream::try_unfold(body, next).boxed()
}

#[async_trait]
impl ObjectStore for S3Objects {
    async fn put(&self, key: &ObjectKey, body: ByteStream, options: &PutOptions) -> Result<ObjectMeta, ObjectError> {
        let keep = options.skip_existing;
        if keep && let Some(existing) = self.head(key).await? {
            return Ok(existing);
        }
        let mut parts = Parts::new(body, options.max_bytes, self.part_bytes);
        let first = parts.next().await?;
        let content_type = options.content_type.as_deref().or_else(|| sniff(&first)).unwrap_or(OCTETS);
        if !parts.is_done() {
            let upload = self.begin_upload(key, content_type).await?;
            upload.run(first, &mut parts, keep).await?;
            return self.stored(key).await;
        }
        for _ in 1..TRIES {
            match self.put_whole(key, first.clone(), content_type, keep).await? {
                Ending::Stored => return self.stored(key).await,
                // It may have been a conflict with a put that then failed, or with a delete.
                Ending::Taken => {
                    if let Some(existing) = self.head(key).await? {
                        return Ok(existing);
                    }
                }
            }
        }
        self.put_whole(key, first, content_type, keep).await?;
        self.stored(key).await
    }

    async fn get(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(ObjectMeta, ByteStream)>, ObjectError> {
        let got = match &range {
            None => self.get_whole(key).await?,
            Some(range) if range.start < range.end.min(FARTHEST) => self.get_part(key, range).await?,
            Some(_) => Got::NoSuchRange,
        };
        match got {
            Got::Object(answer) => {
                let meta = meta(key, size(&answer), answer.content_type(), answer.last_modified())?;
                Ok(Some((meta, pieces(answer.body))))
            }
            Got::NoSuchRange => Ok(self.head(key).await?.map(|meta| (meta, stream::empty().boxed()))),
            Got::Nothing => Ok(None),
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
        // Servers refuse prefixes such as `..`, which are those of no key.
        let limit = if ObjectKey::is_valid_prefix(prefix) { limit as usize } else { 0 };
        let (mut found, mut after) = (Vec::new(), after.map(|key| key.as_str().to_owned()));
        while found.len() < limit {
            let (names, more) = self.page(prefix, after.as_deref(), limit - found.len()).await?;
            after = names.last().cloned().or(after);
            // What others put into the bucket under other names is none of the store's.
            let keys: Vec<ObjectKey> =
                names.iter().filter(|name| name.starts_with(prefix)).filter_map(|name| name.parse().ok()).collect();
            let heads = stream::iter(keys).map(|key| async move { self.head(&key).await }).buffered(HEADS);
            found.extend(heads.try_collect::<Vec<_>>().await?.into_iter().flatten());
            if !more || names.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    async fn presign(&self, key: &ObjectKey, ttl: Duration) -> Result<Option<String>, ObjectError> {
        let ttl = ttl.clamp(Duration::from_secs(1), LONGEST_URL);
        let ttl = PresigningConfig::expires_in(ttl).map_err(|error| ObjectError::Backend(error.into()))?;
        let request = self.public.get_object().bucket(&self.bucket).key(key.as_str());
        let url = request.presigned(ttl).await.map_err(classify)?;
        Ok(Some(url.uri().to_owned()))
    }

    async fn ping(&self) -> Result<(), ObjectError> {
        match self.find_bucket().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(ObjectError::Unavailable("the bucket is not there".into())),
            Err(error) => Err(ObjectError::Unavailable(error.into())),
        }
    }
}
