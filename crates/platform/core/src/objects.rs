//! The object store port: objects are byte streams, stored under a key with a content type.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{BoxError, ErrorKind, Timestamp};

/// The bytes of an object, in chunks of any size.
///
/// A chunk may be empty. The stream ends after its first error. A reader may drop it early, which stops the transfer;
/// the bytes that arrived before are then all that it gets.
pub type ByteStream = BoxStream<'static, Result<Bytes, ObjectError>>;

/// Why a call to the object store failed.
///
/// The variants differ in what a caller can do. Sources are for logs: they may contain addresses, so clients must not
/// see them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// The body is longer than [`PutOptions::max_bytes`]; nothing was stored.
    #[error("object is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The store does not answer or has no space; a later call may succeed.
    #[error("object store is unavailable")]
    Unavailable(#[source] BoxError),
    /// The body stream ended with an error; nothing was stored.
    #[error("object body could not be read")]
    Body(#[source] BoxError),
    /// What is stored under the key is no complete object. Storing it again without [`PutOptions::skip_existing`] replaces it.
    #[error("object `{0}` is damaged")]
    Damaged(ObjectKey),
    /// Any other error of the store.
    #[error("object store operation failed")]
    Backend(#[source] BoxError),
}

impl ObjectError {
    /// Returns the kind, which HTTP and gRPC map to a status code.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Body(_) => ErrorKind::Cancelled,
            Self::Damaged(_) | Self::Backend(_) => ErrorKind::Internal,
        }
    }
}

/// Name of an object: one to eight segments of `a-z 0-9 . _ -` joined by `/`, at most 255 bytes. No segment starts with
/// a dot. It is safe as a file path, as a URL path and as an S3 key. One key can be a folder of another: `a` and `a/b`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectKey(String);

/// The text is not a valid [`ObjectKey`].
#[derive(Debug, thiserror::Error)]
#[error("not an object key")]
pub struct InvalidObjectKey;

impl ObjectKey {
    /// Returns the content-addressed key of `content`: `<prefix>/<first two hex digits>/<64 hex digits><suffix>`, by
    /// its SHA-256 digest. Fails when `prefix` or `suffix` cannot be part of a key.
    pub fn content_addressed(prefix: &str, content: &[u8], suffix: &str) -> Result<Self, InvalidObjectKey> {
        let digest = Sha256::digest(content);
        let hex = digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
            use fmt::Write as _;
            let _infallible = write!(hex, "{byte:02x}");
            hex
        });
        format!("{prefix}/{}/{hex}{suffix}", &hex[..2]).parse()
    }

    /// Returns whether a valid key can start with `prefix`.
    pub fn is_valid_prefix(prefix: &str) -> bool {
        prefix.is_empty() || [prefix, &format!("{prefix}x")].iter().any(|text| text.parse::<Self>().is_ok())
    }

    /// Returns whether `other` is below this key, as `a/b` is below `a`. Use keys of which none is a folder of another one:
    /// such as `<hash>.gif` and `<hash>.poster.webp`, not `<hash>/poster.webp` next to `<hash>`. A listing may omit the object
    /// below, and then it is found by nothing that compares objects with a database.
    pub fn is_folder_of(&self, other: &Self) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Returns the key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectKey {
    type Err = InvalidObjectKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed_byte = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        let allowed_segment =
            |segment: &str| !segment.is_empty() && !segment.starts_with('.') && segment.bytes().all(allowed_byte);
        let segments = text.split('/').count();
        if text.len() > 255 || segments > 8 || !text.split('/').all(allowed_segment) {
            return Err(InvalidObjectKey);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ObjectKey {
    type Error = InvalidObjectKey;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ObjectKey> for String {
    fn from(key: ObjectKey) -> Self {
        key.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Metadata of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// The object's key.
    pub key: ObjectKey,
    /// Length of the whole object in bytes, also when a range was read.
    pub size: u64,
    /// Content type that was given or detected when the object was stored.
    pub content_type: String,
    /// When the object was stored. Some stores round to whole seconds.
    pub modified: Timestamp,
}

/// Options of [`ObjectStore::put`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOptions {
    /// Content type. With `None` it is detected from the first bytes (see [`sniff`]); `application/octet-stream` where
    /// that fails.
    pub content_type: Option<String>,
    /// Maximum length of the body in bytes; a body of exactly this length is accepted.
    pub max_bytes: u64,
    /// Leave an existing object unchanged and return its metadata; right for content-addressed keys.
    pub skip_existing: bool,
}

/// Stores objects.
///
/// Consistency: reads and listings see every put and delete that returned before they started, in this process or in
/// another. Concurrent puts of one key leave one of the objects, never a mix of two. Puts and deletes of other keys,
/// also of keys with the same prefix, do not affect each other.
///
/// Errors: [`ObjectError::Unavailable`] where a retry may succeed, [`ObjectError::Backend`] where it will not. A
/// missing object is no error. An error can also come in the middle of a [`ByteStream`]; the bytes before it are then
/// incomplete.
///
/// Limits: keys as in [`ObjectKey`]; an object may be empty. Bodies are streamed, so memory does not grow with their
/// size.
#[async_trait]
pub trait ObjectStore: Send + Sync + 'static {
    /// Stores an object atomically: readers see the old bytes and content type or the new ones, and a reader that has
    /// started gets the object it started with. When it returns, the object is durable.
    ///
    /// Fails with [`ObjectError::TooLarge`] when the body is longer than [`PutOptions::max_bytes`], of which at most
    /// one chunk more is read, and with [`ObjectError::Body`] when the body ends with an error. On any error nothing is
    /// stored and an older object stays unchanged.
    ///
    /// With [`PutOptions::skip_existing`], one of several concurrent puts stores its object and all of them return that
    /// object's metadata.
    async fn put(&self, key: &ObjectKey, body: ByteStream, options: &PutOptions) -> Result<ObjectMeta, ObjectError>;

    /// Returns the metadata and the bytes of an object; `None` when it does not exist.
    ///
    /// Metadata and bytes belong to the same version of the object, also while it is replaced.
    ///
    /// With `range`, the bytes from `range.start` up to but not including `range.end`, as far as they exist; a range
    /// that is empty, reversed or past the end gives no bytes and is no error.
    async fn get(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(ObjectMeta, ByteStream)>, ObjectError>;

    /// Returns the metadata of an object, without its bytes; `None` when it does not exist.
    ///
    /// It equals the metadata that [`ObjectStore::put`] returned for the object.
    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, ObjectError>;

    /// Deletes an object. Returns false when it did not exist; of concurrent calls more than one may return true.
    ///
    /// A reader that has started may still read the deleted object to its end. The key can be used again.
    async fn delete(&self, key: &ObjectKey) -> Result<bool, ObjectError>;

    /// Returns the metadata of up to `limit` objects whose keys start with `prefix` and are greater than `after`, in
    /// the byte order of their keys.
    ///
    /// The metadata is the same as from [`ObjectStore::head`]. An empty list means that no more keys follow, so a
    /// caller pages with the last key of a page as the next `after`.
    ///
    /// `prefix` may end inside a segment; one that no key can start with gives an empty list. `after` need not exist. A
    /// store may omit an object whose key extends another one (`a/b` next to `a`), as S3 on `MinIO` does.
    async fn list(&self, prefix: &str, after: Option<&ObjectKey>, limit: u32) -> Result<Vec<ObjectMeta>, ObjectError>;

    /// Returns a URL from which anyone can read the object for `ttl`; `None` where the store does not support it. A
    /// store may shorten `ttl`. It does not check that the object exists.
    async fn presign(&self, key: &ObjectKey, ttl: Duration) -> Result<Option<String>, ObjectError>;

    /// Succeeds when the store answers; for health checks. Fails with [`ObjectError::Unavailable`] otherwise.
    async fn ping(&self) -> Result<(), ObjectError>;
}

/// Detects the content type of an image from its first bytes: JPEG, PNG, GIF or WebP. `None` for anything else.
///
/// The first 12 bytes decide. Neither the key nor the type that a client declared matters, so a script that is named
/// `.jpg` is not served as an image.
///
/// Signatures as in the WHATWG MIME Sniffing Standard, section 6.1.
pub fn sniff(head: &[u8]) -> Option<&'static str> {
    match head {
        [0xFF, 0xD8, 0xFF, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Some("image/png"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_cannot_leave_their_folder() {
        for bad in ["", "/", "a//b", "../a", "a/../b", "a/.b", "A", "a b", "a\\b", "a\0", "a/b/c/d/e/f/g/h/i", "%2e%2e"]
        {
            assert!(bad.parse::<ObjectKey>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(256).parse::<ObjectKey>().is_err());
        assert_eq!("photos/ab/c-1_2.jpg".parse::<ObjectKey>().unwrap().as_str(), "photos/ab/c-1_2.jpg");
    }

    #[test]
    fn a_folder_is_a_key_up_to_a_slash() {
        let is_folder =
            |folder: &str, key: &str| folder.parse::<ObjectKey>().unwrap().is_folder_of(&key.parse().unwrap());
        assert!(is_folder("a", "a/b") && is_folder("a", "a/b/c") && is_folder("a/b", "a/b/c"));
        for (folder, key) in [("a", "a"), ("a", "a.b"), ("a", "ab/c"), ("a/b", "a"), ("a/b", "a/bc")] {
            assert!(!is_folder(folder, key), "{folder} {key}");
        }
    }

    #[test]
    fn prefixes_are_those_of_some_key() {
        for good in ["", "a", "a/", "a/b", "a.", &"a".repeat(255)] {
            assert!(ObjectKey::is_valid_prefix(good), "{good:?}");
        }
        for bad in ["/", ".", "..", "a/.", "a//", "A", "a/b/c/d/e/f/g/h/", &"a".repeat(256)] {
            assert!(!ObjectKey::is_valid_prefix(bad), "{bad:?}");
        }
    }

    #[test]
    fn content_addressed_keys_contain_the_digest() {
        let key = ObjectKey::content_addressed("photos", b"abc", ".jpg").unwrap();
        // FIPS 180-2, appendix B.1.
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(key.as_str(), format!("photos/ba/{digest}.jpg"));
    }

    #[test]
    fn sniffs_images_and_nothing_else() {
        assert_eq!(sniff(b"GIF89a..."), Some("image/gif"));
        assert_eq!(sniff(b"RIFF\0\0\0\0WEBPVP8 "), Some("image/webp"));
        assert_eq!(sniff(b"<script>alert(1)</script>"), None);
        assert_eq!(sniff(b""), None);
    }
}
