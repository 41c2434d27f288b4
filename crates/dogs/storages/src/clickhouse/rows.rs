//! Dogs, idempotency keys and imports as records.

use dogs_domain::ports::IdempotencyKey;
use dogs_domain::{BreedCount, Dog, DogId, Photo, Revision};
use kennel_core::{RepoError, Timestamp};
use kennel_storage::clickhouse::{RecordKey, RecordKind, Write};
use serde::{Deserialize, Serialize};

pub(super) const DOG: RecordKind = RecordKind {
    name: "dog",
    columns: "breed, name, image_url, photo_key, photo_type, photo_size, thumbnail, revision, created_at, updated_at",
};
/// The index for pages of one breed; all its information is in its keys.
pub(super) const BREED: RecordKind = RecordKind { name: "breed", columns: "version" };
const IDEMPOTENCY: RecordKind = RecordKind { name: "idempotency", columns: "fingerprint, snapshot, recorded_at" };
pub(super) const IMPORT: RecordKind = RecordKind { name: "import", columns: "started_at, lines, digest, recorded_at" };

pub(super) fn dog(id: DogId) -> RecordKey {
    DOG.key(id.to_string())
}

pub(super) fn breed(dog: &Dog) -> RecordKey {
    BREED.key(format!("{}/{}", dog.breed, dog.id))
}

/// The upper bound of the keys of a breed: `0` is the character after `/`.
pub(super) fn breed_end(breed: &str) -> String {
    format!("{breed}0")
}

pub(super) fn idempotency(key: &str) -> RecordKey {
    IDEMPOTENCY.key(key)
}

/// The columns of a dog.
#[derive(Serialize, Deserialize)]
pub(super) struct DogRow {
    breed: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    photo_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    photo_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    photo_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbnail: Option<String>,
    revision: u32,
    created_at: i64,
    updated_at: i64,
}

impl From<&Dog> for DogRow {
    fn from(dog: &Dog) -> Self {
        let photo = dog.photo.as_ref();
        Self {
            breed: dog.breed.as_str().to_owned(),
            name: dog.name.clone(),
            image_url: dog.image_url.clone(),
            photo_key: photo.map(|photo| photo.key.as_str().to_owned()),
            photo_type: photo.map(|photo| photo.content_type.clone()),
            photo_size: photo.map(|photo| photo.size),
            thumbnail: photo.and_then(|photo| photo.thumbnail.as_ref()).map(|key| key.as_str().to_owned()),
            revision: dog.revision.0,
            created_at: dog.created_at.as_millis(),
            updated_at: dog.updated_at.as_millis(),
        }
    }
}

/// Reads the dog from the key and the columns of its record.
pub(super) fn read(key: &str, row: DogRow) -> Result<Dog, RepoError> {
    Ok(Dog {
        id: key.parse().map_err(RepoError::corrupt)?,
        breed: row.breed.parse().map_err(RepoError::corrupt)?,
        name: row.name,
        image_url: row.image_url,
        photo: photo(row.photo_key, row.photo_type, row.photo_size, row.thumbnail)?,
        revision: Revision(row.revision),
        created_at: timestamp(row.created_at)?,
        updated_at: timestamp(row.updated_at)?,
    })
}

fn photo(
    key: Option<String>,
    content_type: Option<String>,
    size: Option<u64>,
    thumbnail: Option<String>,
) -> Result<Option<Photo>, RepoError> {
    match (key, content_type, size) {
        (None, None, None) => Ok(None),
        (Some(key), Some(content_type), Some(size)) => Ok(Some(Photo {
            key: key.parse().map_err(RepoError::corrupt)?,
            content_type,
            size,
            thumbnail: thumbnail.map(|key| key.parse().map_err(RepoError::corrupt)).transpose()?,
        })),
        _ => Err(RepoError::corrupt("the columns of an image are incomplete")),
    }
}

pub(super) fn timestamp(millis: i64) -> Result<Timestamp, RepoError> {
    Timestamp::from_millis(millis).map_err(RepoError::corrupt)
}

/// Stores a dog and its index entry, and removes the index entry of the previous version `before`.
pub(super) fn put(write: &mut Write<'_>, before: Option<&Dog>, after: &Dog) -> Result<(), RepoError> {
    write.put(&dog(after.id), &DogRow::from(after))?;
    if let Some(before) = before {
        if before.breed == after.breed {
            return Ok(());
        }
        write.remove(&breed(before));
    }
    write.put(&breed(after), &serde_json::Map::new())
}

/// The columns of an idempotency key.
#[derive(Serialize, Deserialize)]
pub(super) struct KeyRow {
    fingerprint: String,
    /// The dog as it was created, as JSON.
    snapshot: String,
    pub(super) recorded_at: i64,
}

impl KeyRow {
    pub(super) fn new(key: &IdempotencyKey, dog: &Dog) -> Result<Self, RepoError> {
        let snapshot = serde_json::to_string(dog).map_err(|error| RepoError::Backend(error.into()))?;
        Ok(Self { fingerprint: digest_text(&key.fingerprint), snapshot, recorded_at: dog.created_at.as_millis() })
    }

    pub(super) fn is_of(&self, key: &IdempotencyKey) -> bool {
        self.fingerprint == digest_text(&key.fingerprint)
    }

    pub(super) fn dog(&self) -> Result<Dog, RepoError> {
        serde_json::from_str(&self.snapshot).map_err(RepoError::corrupt)
    }
}

/// A digest as 64 hexadecimal digits, formatted as two UUIDs without dashes.
pub(super) fn digest_text(digest: &[u8; 32]) -> String {
    let (high, low) = digest.split_at(16);
    [high, low]
        .iter()
        .filter_map(|half| uuid::Uuid::from_slice(half).ok())
        .map(|half| half.simple().to_string())
        .collect()
}

pub(super) fn digest(text: &str) -> Result<[u8; 32], RepoError> {
    let half = |range| text.get(range).and_then(|half| uuid::Uuid::try_parse(half).ok());
    match (text.len(), half(0..32), half(32..64)) {
        (64, Some(high), Some(low)) => {
            let mut digest = [0; 32];
            digest[..16].copy_from_slice(high.as_bytes());
            digest[16..].copy_from_slice(low.as_bytes());
            Ok(digest)
        }
        _ => Err(RepoError::corrupt("digest of another length")),
    }
}

/// The number of dogs of a breed.
#[derive(Deserialize)]
pub(super) struct CountRow {
    breed: String,
    pub(super) dogs: u64,
}

impl TryFrom<CountRow> for BreedCount {
    type Error = RepoError;

    fn try_from(row: CountRow) -> Result<Self, Self::Error> {
        Ok(Self { breed: row.breed.parse().map_err(RepoError::corrupt)?, dogs: row.dogs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_round_trips_through_text() {
        let given: [u8; 32] = std::array::from_fn(|index| u8::try_from(index * 7).unwrap());
        assert_eq!(digest(&digest_text(&given)).unwrap(), given);
        for broken in ["", "00", &"x".repeat(64), &"0".repeat(65)] {
            assert!(digest(broken).is_err(), "{broken}");
        }
    }
}
