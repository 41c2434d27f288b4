//! The blob, its files, and what became of each GIF.

use gifs_contracts::{GifId, Refusal, Sha256};
use kennel_core::objects::InvalidObjectKey;
use kennel_core::{ObjectKey, Timestamp};
use serde::{Deserialize, Serialize};

/// The prefix of the keys of all files.
pub const PREFIX: &str = "gifs/";

/// A file of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// The bytes of the provider, unchanged.
    Original,
    /// A still WebP image of the first frame.
    Poster,
    /// A small GIF; for a small original the original itself.
    Small,
}

impl Variant {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Poster => "poster",
            Self::Small => "small",
        }
    }
}

/// The key of a file of the blob with this hash. The keys of a blob differ in their ending, so that none is the folder of
/// another one: a listing of `MinIO` does not show such objects. In their byte order, keys sort by hash.
pub fn file_key(sha256: &Sha256, variant: Variant) -> Result<ObjectKey, InvalidObjectKey> {
    let ending = match variant {
        Variant::Original => "gif",
        Variant::Poster => "poster.webp",
        Variant::Small => "small.gif",
    };
    let hash = sha256.as_str();
    format!("{PREFIX}{}/{hash}.{ending}", &hash[..2]).parse()
}

/// One stored file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Which file of the blob it is.
    pub variant: Variant,
    /// Its key in the object store.
    pub key: ObjectKey,
    /// Its content type.
    pub content_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The hash of its bytes.
    pub sha256: Sha256,
}

/// The bytes of a GIF. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// The hash of the original bytes.
    pub sha256: Sha256,
    /// The original, and the files that were derived from it.
    pub files: Vec<StoredFile>,
    /// Number of frames; 1 is a still image.
    pub frames: u32,
    /// Duration of one loop in milliseconds, as browsers play it.
    pub duration_ms: u64,
    /// Duration of one loop in milliseconds, by the delays in the file.
    pub raw_duration_ms: u64,
    /// How often it is played; 0 is without end.
    pub plays: u32,
    /// What is unusual about the file although it can be shown, such as `missing_trailer`.
    pub defects: Vec<String>,
    /// When it was stored.
    pub created_at: Timestamp,
}

impl Blob {
    /// The file that is this variant.
    pub fn file(&self, variant: Variant) -> Option<&StoredFile> {
        self.files.iter().find(|file| file.variant == variant)
    }
}

/// What became of the bytes of a GIF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// They are stored as the blob with this hash.
    Stored(Sha256),
    /// They cannot be stored.
    Refused {
        /// Why.
        refusal: Refusal,
        /// Details for an operator, without a URL.
        detail: Option<String>,
    },
}

/// What became of a GIF. It is final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The GIF.
    pub id: GifId,
    /// Where its bytes were downloaded.
    pub url: String,
    /// What became of them.
    pub verdict: Verdict,
    /// When this was decided.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_blob_are_valid_and_no_folders_of_each_other() {
        let hash: Sha256 = "ab".repeat(32).parse().unwrap();
        let keys =
            [Variant::Original, Variant::Poster, Variant::Small].map(|variant| file_key(&hash, variant).unwrap());
        assert_eq!(keys[0].as_str(), format!("gifs/ab/{hash}.gif"));
        assert!(keys.is_sorted());
        for (key, other) in keys.iter().flat_map(|key| keys.iter().map(move |other| (key, other))) {
            assert!(!key.is_folder_of(other), "{key} {other}");
        }
    }
}
