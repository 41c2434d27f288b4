//! Events that the service publishes. Names, topics and schemas are a public contract: see `api/dogs/asyncapi.yaml`.

use kennel_core::codec::Json;
use kennel_core::{EventType, ObjectKey, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Breed, Dog, DogId, Revision};

/// The CloudEvents `source` of these events.
pub const SOURCE: &str = "/dogs";

/// A dog was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DogCreated {
    /// The dog.
    pub id: DogId,
    /// Its breed.
    pub breed: Breed,
    /// Its name.
    pub name: Option<String>,
    /// Whether the service stores an image of it.
    pub has_photo: bool,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A dog was changed by a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DogUpdated {
    /// The dog.
    pub id: DogId,
    /// Its breed after the change.
    pub breed: Breed,
    /// Its name after the change.
    pub name: Option<String>,
    /// Its revision after the change.
    pub revision: Revision,
    /// When it was changed.
    pub updated_at: Timestamp,
}

/// A dog was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DogDeleted {
    /// The dog.
    pub id: DogId,
    /// Its last breed.
    pub breed: Breed,
}

/// An image of a dog was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageStored {
    /// The dog.
    pub id: DogId,
    /// The key of the image in the object store.
    pub key: ObjectKey,
    /// Its content type.
    pub content_type: String,
    /// Its length in bytes.
    pub size: u64,
}

/// The thumbnail of a dog's image was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ThumbnailStored {
    /// The dog.
    pub id: DogId,
    /// The key of the image it was created from.
    pub key: ObjectKey,
    /// The key of the thumbnail in the object store.
    pub thumbnail: ObjectKey,
}

/// A batch of an import was committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DogsImported {
    /// The key of the import, the same for all its batches.
    pub import: String,
    /// Number of processed lines after this batch, counted from the start of the import.
    pub lines: u64,
    /// Number of dogs that this batch created.
    pub dogs: u64,
}

/// Implements [`EventType`] for `$type`: the CloudEvents `type` of its events, and the key that determines their order.
macro_rules! event {
    ($type:ty, $name:literal, |$event:ident| $key:expr) => {
        impl EventType for $type {
            const NAME: &'static str = $name;
            const TOPIC: &'static str = TOPIC;

            type Codec = Json;

            fn key(&self) -> String {
                let $event = self;
                $key
            }
        }
    };
}

/// All events of dogs share one topic, so that those of one dog keep their order across types.
pub const TOPIC: &str = "dogs.events";

event!(DogCreated, "dogs.created", |event| event.id.to_string());
event!(DogUpdated, "dogs.updated", |event| event.id.to_string());
event!(DogDeleted, "dogs.deleted", |event| event.id.to_string());
event!(ImageStored, "dogs.image_stored", |event| event.id.to_string());
event!(ThumbnailStored, "dogs.thumbnail_stored", |event| event.id.to_string());
event!(DogsImported, "dogs.imported", |event| event.import.clone());

impl From<&Dog> for DogCreated {
    fn from(dog: &Dog) -> Self {
        Self {
            id: dog.id,
            breed: dog.breed.clone(),
            name: dog.name.clone(),
            has_photo: dog.photo.is_some(),
            created_at: dog.created_at,
        }
    }
}

impl From<&Dog> for DogUpdated {
    fn from(dog: &Dog) -> Self {
        Self {
            id: dog.id,
            breed: dog.breed.clone(),
            name: dog.name.clone(),
            revision: dog.revision,
            updated_at: dog.updated_at,
        }
    }
}
