//! Splits a body into parts and sends a long one as a multipart upload.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::complete_multipart_upload::CompleteMultipartUploadError;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use kennel_core::ObjectKey;
use kennel_core::objects::{ByteStream, ObjectError};
use tokio_util::task::TaskTracker;

use super::error::{classify, is_conflict};

/// Maximum number of parts in S3.
const MAX_PARTS: u64 = 10_000;

/// A body in parts of equal length, except the last one.
pub(super) struct BodyParts {
    body: ByteStream,
    buffer: BytesMut,
    part: usize,
    taken: u64,
    limit: u64,
    ended: bool,
}

impl BodyParts {
    /// Creates parts of `part` bytes, or of more if a body of `limit` bytes would otherwise exceed [`MAX_PARTS`].
    pub(super) fn new(body: ByteStream, limit: u64, part: u64) -> Self {
        let part = usize::try_from(part.max(limit.div_ceil(MAX_PARTS))).unwrap_or(usize::MAX);
        Self { body, buffer: BytesMut::new(), part, taken: 0, limit, ended: false }
    }

    /// Returns the next part; empty if the body is empty.
    pub(super) async fn next(&mut self) -> Result<Bytes, ObjectError> {
        // One byte more is read to determine whether this part is the last.
        while self.buffer.len() <= self.part && !self.ended {
            let Some(chunk) = self.body.next().await else {
                self.ended = true;
                break;
            };
            let chunk = chunk?;
            self.taken = self.taken.saturating_add(chunk.len() as u64);
            if self.taken > self.limit {
                return Err(ObjectError::TooLarge { limit: self.limit });
            }
            self.buffer.extend_from_slice(&chunk);
        }
        let length = self.buffer.len().min(self.part);
        Ok(self.buffer.split_to(length).freeze())
    }

    /// Returns whether the last returned part is the last one of the body.
    pub(super) fn is_done(&self) -> bool {
        self.ended && self.buffer.is_empty()
    }
}

/// Outcome of a put.
pub(super) enum UploadOutcome {
    /// The object is stored.
    Stored,
    /// The put was conditional, and an object exists.
    AlreadyExists,
}

/// A multipart upload. Readers see nothing of it until it is complete. Dropped before that, it is aborted, so that its
/// parts use no space; after a crash, a lifecycle rule of the bucket has to remove them.
pub(super) struct Upload {
    client: Client,
    bucket: String,
    key: ObjectKey,
    id: String,
    aborting: TaskTracker,
    open: bool,
}

impl Upload {
    pub(super) async fn begin(
        client: Client,
        bucket: String,
        key: ObjectKey,
        content_type: String,
        aborting: TaskTracker,
    ) -> Result<Self, ObjectError> {
        let request = client.create_multipart_upload().bucket(&bucket).key(key.as_str()).content_type(content_type);
        let created = request.send().await.map_err(classify)?;
        let id = created.upload_id.ok_or_else(|| ObjectError::Backend("the upload has no id".into()))?;
        Ok(Self { client, bucket, key, id, aborting, open: true })
    }

    /// Sends `first` and the following parts. Each part is sent while the next one is read.
    pub(super) async fn run(
        mut self,
        first: Bytes,
        parts: &mut BodyParts,
        skip_existing: bool,
    ) -> Result<UploadOutcome, ObjectError> {
        let outcome = match self.send(first, parts).await {
            Ok(sent) => self.complete(sent, skip_existing).await,
            Err(error) => Err(error),
        };
        self.open = false;
        if !matches!(outcome, Ok(UploadOutcome::Stored)) {
            abort(&self.client, &self.bucket, &self.key, &self.id).await;
        }
        outcome
    }

    async fn send(&self, first: Bytes, parts: &mut BodyParts) -> Result<Vec<CompletedPart>, ObjectError> {
        let (mut sent, mut part, mut number) = (Vec::new(), first, 1);
        while !parts.is_done() {
            let (done, next) = tokio::try_join!(self.send_part(number, part), parts.next())?;
            sent.push(done);
            part = next;
            number += 1;
        }
        sent.push(self.send_part(number, part).await?);
        Ok(sent)
    }

    async fn send_part(&self, number: i32, bytes: Bytes) -> Result<CompletedPart, ObjectError> {
        let request = self.client.upload_part().bucket(&self.bucket).key(self.key.as_str()).upload_id(&self.id);
        let sent = request.part_number(number).body(bytes.into()).send().await.map_err(classify)?;
        Ok(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build())
    }

    async fn complete(&self, parts: Vec<CompletedPart>, skip_existing: bool) -> Result<UploadOutcome, ObjectError> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self.client.complete_multipart_upload().bucket(&self.bucket).key(self.key.as_str());
        let request = request.upload_id(&self.id).multipart_upload(parts);
        let request = request.set_if_none_match(skip_existing.then(|| "*".to_owned()));
        match request.send().await {
            Ok(_) => Ok(UploadOutcome::Stored),
            Err(error) if skip_existing && is_conflict(&error) => Ok(UploadOutcome::AlreadyExists),
            // An earlier attempt whose response was lost may have completed the upload, so that a retry finds none. The caller
            // looks whether the object exists; only a conditional put may take any object for its own.
            Err(error) if skip_existing && is_unknown(&error) => Ok(UploadOutcome::AlreadyExists),
            Err(error) if is_unknown(&error) => Err(ObjectError::Unavailable(error.into())),
            Err(error) => Err(classify(error)),
        }
    }
}

/// Whether the server does not know the upload (any more).
fn is_unknown(error: &SdkError<CompleteMultipartUploadError, HttpResponse>) -> bool {
    error.as_service_error().and_then(|error| error.meta().code()) == Some("NoSuchUpload")
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.open
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (client, bucket, key, id) =
                (self.client.clone(), self.bucket.clone(), self.key.clone(), std::mem::take(&mut self.id));
            self.aborting.spawn_on(async move { abort(&client, &bucket, &key, &id).await }, &runtime);
        }
    }
}

/// Aborts an upload. If that fails, the bucket's lifecycle rule has to remove it; readers never see it.
async fn abort(client: &Client, bucket: &str, key: &ObjectKey, id: &str) {
    let request = client.abort_multipart_upload().bucket(bucket).key(key.as_str()).upload_id(id);
    if let Err(error) = request.send().await {
        tracing::debug!(object.key = %key, error = &error as &dyn std::error::Error, "cannot abort multipart upload");
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};

    use super::*;

    fn parts(chunks: &[&'static [u8]], limit: u64, part: u64) -> BodyParts {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk))).collect();
        BodyParts::new(stream::iter(chunks).boxed(), limit, part)
    }

    async fn all(mut parts: BodyParts) -> Result<Vec<Bytes>, ObjectError> {
        let mut all = vec![parts.next().await?];
        while !parts.is_done() {
            all.push(parts.next().await?);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn parts_have_equal_lengths_for_any_chunks() {
        assert_eq!(all(parts(&[], 9, 3)).await.unwrap(), [""]);
        assert_eq!(all(parts(&[b"", b"abc"], 9, 3)).await.unwrap(), ["abc"]);
        assert_eq!(all(parts(&[b"a", b"bcdefg", b"", b"h"], 9, 3)).await.unwrap(), ["abc", "def", "gh"]);
        assert_eq!(all(parts(&[b"abcdef"], 9, 3)).await.unwrap(), ["abc", "def"]);
    }

    #[tokio::test]
    async fn the_limit_is_exact() {
        assert!(all(parts(&[b"abc", b"def"], 6, 3)).await.is_ok());
        let refused = all(parts(&[b"abc", b"defg"], 6, 3)).await;
        assert!(matches!(refused, Err(ObjectError::TooLarge { limit: 6 })), "{refused:?}");
    }

    #[test]
    fn parts_grow_to_stay_below_their_maximum_number() {
        let huge = 100 * 1024 * 1024 * 1024;
        let parts = parts(&[], huge, 8 * 1024 * 1024);
        assert!(parts.part as u64 * MAX_PARTS >= huge && parts.part > 8 * 1024 * 1024);
    }
}
