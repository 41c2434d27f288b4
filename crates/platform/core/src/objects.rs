//! The object store port: streams of bytes under a key.

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

/// An object's bytes, in pieces.
pub type ByteStream = BoxStream<'static, Result<Bytes, ObjectError>>;

/// Why a call to the object store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// More bytes came than [`PutOptions::max_bytes`] allows; nothing was stored.
    #[error("object is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The store does not answer; trying again later may help.
    #[error("object store is unavailable")]
    Unavailable(#[source] BoxError),
    /// The body being stored ended in an error; nothing was stored.
    #[error("object body could not be read")]
    Body(#[source] BoxError),
    /// Anything else the store reports.
    #[error("object store operation failed")]
    Backend(#[source] BoxError),
}

impl ObjectError {
    /// The kind that protocols show.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Body(_) => ErrorKind::Cancelled,
            Self::Backend(_) => ErrorKind::Internal,
        }
    }
}

/// An object's name: one to eight segments of `a-z 0-9 . _ -` joined by `/`, at most 255 bytes, no segment led by a dot.
/// So it is safe as a path, as a URL and as an S3 key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectKey(String);

/// A name outside the rules of [`ObjectKey`].
#[derive(Debug, thiserror::Error)]
#[error("not an object key")]
pub struct InvalidObjectKey;

impl ObjectKey {
    /// The key that names `content` by its SHA-256 digest: `<prefix>/<first two hex digits>/<64 hex digits><suffix>`.
    pub fn addressed(prefix: &str, content: &[u8], suffix: &str) -> Result<Self, InvalidObjectKey> {
        let digest = Sha256::digest(content);
        let hex = digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
            use fmt::Write as _;
            let _infallible = write!(hex, "{byte:02x}");
            hex
        });
        format!("{prefix}/{}/{hex}{suffix}", &hex[..2]).parse()
    }

    /// Whether any key begins like that.
    pub fn may_begin_with(prefix: &str) -> bool {
        prefix.is_empty() || [prefix, &format!("{prefix}x")].iter().any(|text| text.parse::<Self>().is_ok())
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectKey {
    type Err = InvalidObjectKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good_byte = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        let good_segment = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(good_byte);
        let segments = text.split('/').count();
        if text.len() > 255 || segments > 8 || !text.split('/').all(good_segment) {
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

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its name.
    pub key: ObjectKey,
    /// Its length in bytes.
    pub size: u64,
    /// Its content type, as sniffed or as given when it was stored.
    pub content_type: String,
    /// When it was stored.
    pub modified: Timestamp,
}

/// How to store an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOptions {
    /// Content type; `None` has it sniffed from the first bytes (see [`sniff`]), `application/octet-stream` where that fails.
    pub content_type: Option<String>,
    /// The most bytes to take.
    pub max_bytes: u64,
    /// Leave an object that is already there as it is; right for content-addressed keys.
    pub keep_existing: bool,
}

/// Keeps objects. Reads and listings see every put that returned before they began.
#[async_trait]
pub trait ObjectStore: Send + Sync + 'static {
    /// Stores an object whole or not at all: readers see the old one or the new one.
    async fn put(&self, key: &ObjectKey, body: ByteStream, options: &PutOptions) -> Result<ObjectMeta, ObjectError>;

    /// The object, or the `range` of it that exists. `None` when it is not there.
    async fn get(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(ObjectMeta, ByteStream)>, ObjectError>;

    /// What is known of the object. `None` when it is not there.
    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, ObjectError>;

    /// Removes the object. False when it was not there.
    async fn delete(&self, key: &ObjectKey) -> Result<bool, ObjectError>;

    /// Up to `limit` objects whose keys start with `prefix`, by key, behind `after`. A store may leave out an object below
    /// another (`a/b` beside `a`), as S3 on `MinIO` does.
    async fn list(&self, prefix: &str, after: Option<&ObjectKey>, limit: u32) -> Result<Vec<ObjectMeta>, ObjectError>;

    /// A URL from which anyone can read the object for `ttl`. `None` where the store has no such URLs.
    async fn presign(&self, key: &ObjectKey, ttl: Duration) -> Result<Option<String>, ObjectError>;

    /// Whether the store answers, for health checks.
    async fn ping(&self) -> Result<(), ObjectError>;
}

/// The content type that the first bytes show, for the picture formats that services here take.
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
    fn prefixes_are_those_of_some_key() {
        for good in ["", "a", "a/", "a/b", "a.", &"a".repeat(255)] {
            assert!(ObjectKey::may_begin_with(good), "{good:?}");
        }
        for bad in ["/", ".", "..", "a/.", "a//", "A", "a/b/c/d/e/f/g/h/", &"a".repeat(256)] {
            assert!(!ObjectKey::may_begin_with(bad), "{bad:?}");
        }
    }

    #[test]
    fn addressed_keys_name_the_content() {
        let key = ObjectKey::addressed("photos", b"abc", ".jpg").unwrap();
        // FIPS 180-2, appendix B.1.
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(key.as_str(), format!("photos/ba/{digest}.jpg"));
    }

    #[test]
    fn sniffs_pictures_and_nothing_else() {
        assert_eq!(sniff(b"GIF89a..."), Some("image/gif"));
        assert_eq!(sniff(b"RIFF\0\0\0\0WEBPVP8 "), Some("image/webp"));
        assert_eq!(sniff(b"<script>alert(1)</script>"), None);
        assert_eq!(sniff(b""), None);
    }
}
