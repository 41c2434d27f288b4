//! A body on its way in: cut into parts, and sent in several requests when it is long.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use kennel_core::ObjectKey;
use kennel_core::objects::{ByteStream, ObjectError};
use tokio_util::task::TaskTracker;

use super::error::{classify, is_taken};

/// The most parts that S3 takes.
const MOST_PARTS: u64 = 10_000;

/// A body in parts of one length, but for the last one.
pub(super) struct Parts {
    body: ByteStream,
    buffer: BytesMut,
    part: usize,
    taken: u64,
    limit: u64,
    ended: bool,
}

impl Parts {
    /// Parts of `part` bytes, or as many as a body of `limit` bytes needs to be sent at all.
    pub(super) fn new(body: ByteStream, limit: u64, part: u64) -> Self {
        let part = usize::try_from(part.max(limit.div_ceil(MOST_PARTS))).unwrap_or(usize::MAX);
        Self { body, buffer: BytesMut::new(), part, taken: 0, limit, ended: false }
    }

    /// The next part. Empty when the body is.
    pub(super) async fn next(&mut self) -> Result<Bytes, ObjectError> {
        // One byte more tells whether this part is the last.
        while self.buffer.len() <= self.part && !self.ended {
            let Some(piece) = self.body.next().await else {
                self.ended = true;
                break;
            };
            let piece = piece?;
            self.taken = self.taken.saturating_add(piece.len() as u64);
            if self.taken > self.limit {
                return Err(ObjectError::TooLarge { limit: self.limit });
            }
            self.buffer.extend_from_slice(&piece);
        }
        let length = self.buffer.len().min(self.part);
        Ok(self.buffer.split_to(length).freeze())
    }

    /// Whether the part that was given last is the last one.
    pub(super) fn is_done(&self) -> bool {
        self.ended && self.buffer.is_empty()
    }
}

/// How an upload ended.
pub(super) enum Ending {
    /// The object is stored.
    Stored,
    /// It was to keep what exists, and found something.
    Taken,
}

/// An upload in parts, of which readers see nothing until it is complete. Dropped before, it is called off, so that
/// its parts take no room; what a crash leaves, a lifecycle rule of the bucket removes.
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

    /// Sends `first` and what follows it, one part while the next one comes in.
    pub(super) async fn run(
        mut self,
        first: Bytes,
        parts: &mut Parts,
        skip_existing: bool,
    ) -> Result<Ending, ObjectError> {
        let ending = match self.send(first, parts).await {
            Ok(sent) => self.complete(sent, skip_existing).await,
            Err(error) => Err(error),
        };
        self.open = false;
        if !matches!(ending, Ok(Ending::Stored)) {
            abort(&self.client, &self.bucket, &self.key, &self.id).await;
        }
        ending
    }

    async fn send(&self, first: Bytes, parts: &mut Parts) -> Result<Vec<CompletedPart>, ObjectError> {
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

    async fn complete(&self, parts: Vec<CompletedPart>, skip_existing: bool) -> Result<Ending, ObjectError> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self.client.complete_multipart_upload().bucket(&self.bucket).key(self.key.as_str());
        let request = request.upload_id(&self.id).multipart_upload(parts);
        let request = request.set_if_none_match(skip_existing.then(|| "*".to_owned()));
        match request.send().await {
            Ok(_) => Ok(Ending::Stored),
            Err(error) if skip_existing && is_taken(&error) => Ok(Ending::Taken),
            // A try whose answer was lost may have completed it, so that the next try found no upload.
            Err(error) if error.as_service_error().and_then(|error| error.meta().code()) == Some("NoSuchUpload") => {
                Err(ObjectError::Unavailable(error.into()))
            }
            Err(error) => Err(classify(error)),
        }
    }
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

/// Calls an upload off. One that cannot be is left to the bucket's lifecycle rule, and seen by no reader.
async fn abort(client: &Client, bucket: &str, key: &ObjectKey, id: &str) {
    let request = client.abort_multipart_upload().bucket(bucket).key(key.as_str()).upload_id(id);
    if let Err(error) = request.send().await {
        tracing::debug!(object.key = %key, error = &error as &dyn std::error::Error, "an upload could not be called off");
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};

    use super::*;

    fn parts(pieces: &[&'static [u8]], limit: u64, part: u64) -> Parts {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece))).collect();
        Parts::new(stream::iter(pieces).boxed(), limit, part)
    }

    async fn all(mut parts: Parts) -> Result<Vec<Bytes>, ObjectError> {
        let mut all = vec![parts.next().await?];
        while !parts.is_done() {
            all.push(parts.next().await?);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn parts_have_one_length_whatever_the_pieces() {
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
    fn parts_grow_so_that_their_number_suffices() {
        let huge = 100 * 1024 * 1024 * 1024;
        let parts = parts(&[], huge, 8 * 1024 * 1024);
        assert!(parts.part as u64 * MOST_PARTS >= huge && parts.part > 8 * 1024 * 1024);
    }
}
