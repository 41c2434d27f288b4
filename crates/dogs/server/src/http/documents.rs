//! The JSON documents that the API takes and answers.

use dogs_domain::import::ImportReport;
use dogs_domain::service::{DogPatch, NewDog};
use dogs_domain::{Breed, BreedCount, Dog, DogError};
use kennel_core::{Event, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::links::Links;
use super::values::{BreedName, DogName, Link};

/// A dog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Dog)]
pub(super) struct DogDocument {
    /// Its id. Ids grow with time, so they sort by age.
    #[schema(example = "0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10")]
    id: Uuid,
    /// Its breed, with its sub-breed where it has one.
    #[schema(example = "hound-afghan")]
    breed: String,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Rex", nullable = false)]
    name: Option<String>,
    /// Its picture: the one kept here, else the given link.
    #[schema(
        required = true,
        example = "http://localhost:8080/api/v1/dogs/0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10/photo"
    )]
    image_url: Option<String>,
    /// The small copy of the picture; null until it is made.
    #[schema(
        format = "uri",
        required = true,
        example = "http://localhost:8080/api/v1/dogs/0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10/photo?variant=thumbnail"
    )]
    thumbnail_url: Option<String>,
    /// Where the picture came from, or is, outside the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "https://images.dog.ceo/breeds/hound-afghan/n02088094_1003.jpg")]
    source_url: Option<String>,
    /// Counts its changes, from 1.
    #[schema(example = 1)]
    revision: u32,
    /// When it was made, in UTC.
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T09:30:00.000Z")]
    created_at: Timestamp,
    /// When it was last changed, in UTC.
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T09:30:00.000Z")]
    updated_at: Timestamp,
}

impl DogDocument {
    pub(super) fn new(dog: &Dog, links: &Links) -> Self {
        Self {
            id: dog.id.0,
            breed: dog.breed.to_string(),
            name: dog.name.clone(),
            image_url: links.image(dog),
            thumbnail_url: links.thumbnail(dog),
            source_url: dog.image_url.clone(),
            revision: dog.revision.0,
            created_at: dog.created_at,
            updated_at: dog.updated_at,
        }
    }
}

/// A picture that was fetched and kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = DogImage)]
pub(super) struct ImageDocument {
    /// The id of the dog that was recorded with it.
    #[schema(example = "0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10")]
    id: Uuid,
    /// Its breed.
    #[schema(example = "husky")]
    breed: String,
    /// Where the picture is.
    #[schema(
        format = "uri",
        required = true,
        example = "http://localhost:8080/api/v1/dogs/0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10/photo"
    )]
    image_url: Option<String>,
    /// The small copy of the picture; null until it is made.
    #[schema(format = "uri", required = true)]
    thumbnail_url: Option<String>,
    /// When it was recorded, in UTC.
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T09:30:00.000Z")]
    created_at: Timestamp,
}

impl ImageDocument {
    pub(super) fn new(dog: &Dog, links: &Links) -> Self {
        Self {
            id: dog.id.0,
            breed: dog.breed.to_string(),
            image_url: links.image(dog),
            thumbnail_url: links.thumbnail(dog),
            created_at: dog.created_at,
        }
    }
}

/// A page of dogs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = DogPage)]
pub(super) struct PageDocument {
    /// The dogs, in the order asked for.
    pub(super) items: Vec<DogDocument>,
    /// The cursor of the next page; null on the last one.
    #[schema(required = true, example = "AZjF8n0-fEGdGgtvfC9aEA")]
    pub(super) next: Option<String>,
}

/// A dog to be made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewDog)]
pub(super) struct NewDogDocument {
    /// Its breed.
    #[schema(value_type = BreedName)]
    breed: String,
    /// What it is called.
    #[serde(default)]
    #[schema(value_type = Option<DogName>)]
    name: Option<String>,
    /// A link to a picture of it elsewhere.
    #[serde(default)]
    #[schema(value_type = Option<Link>)]
    image_url: Option<String>,
}

impl TryFrom<NewDogDocument> for NewDog {
    type Error = DogError;

    fn try_from(document: NewDogDocument) -> Result<Self, DogError> {
        Ok(Self { breed: parse_breed(&document.breed)?, name: document.name, image_url: document.image_url })
    }
}

/// What to change of a dog, as a JSON merge patch (RFC 7396): a missing field stays as it is, null takes it away.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DogChanges)]
#[expect(clippy::option_option, reason = "missing, null and a value are three things in a merge patch")]
pub(super) struct ChangesDocument {
    /// Another breed. Every dog has one, so null is refused.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = BreedName, required = false)]
    breed: Option<Option<String>>,
    /// Another name, or null for none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<DogName>)]
    name: Option<Option<String>>,
    /// Another link, or null for none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Link>)]
    image_url: Option<Option<String>>,
}

#[expect(clippy::option_option, reason = "missing, null and a value are three things in a merge patch")]
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl TryFrom<ChangesDocument> for DogPatch {
    type Error = DogError;

    fn try_from(document: ChangesDocument) -> Result<Self, DogError> {
        let breed = match document.breed {
            Some(Some(breed)) => Some(parse_breed(&breed)?),
            Some(None) => return Err(DogError::invalid("breed", "cannot be taken away")),
            None => None,
        };
        Ok(Self { breed, name: document.name, image_url: document.image_url })
    }
}

/// Reads the value called `breed`.
pub(super) fn parse_breed(text: &str) -> Result<Breed, DogError> {
    text.parse().map_err(|error: dogs_domain::model::InvalidBreed| DogError::invalid("breed", error.to_string()))
}

/// A breed and how many dogs of it there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Breed)]
pub(super) struct BreedDocument {
    /// The breed, with its sub-breed where it has one.
    #[schema(example = "hound-afghan")]
    breed: String,
    /// Dogs of exactly this breed.
    #[schema(example = 3)]
    dogs: u64,
}

impl From<BreedCount> for BreedDocument {
    fn from(count: BreedCount) -> Self {
        Self { breed: count.breed.into(), dogs: count.dogs }
    }
}

/// Every breed that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Breeds)]
pub(super) struct BreedsDocument {
    /// The breeds, by name.
    pub(super) items: Vec<BreedDocument>,
}

/// A line of an import.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportRow)]
#[expect(dead_code, reason = "only describes `dogs_domain::import::Row`")]
pub(super) struct RowDocument {
    /// The dog's breed.
    #[schema(value_type = BreedName)]
    breed: String,
    /// What it is called.
    #[schema(value_type = Option<DogName>)]
    name: Option<String>,
    /// A link to a picture of it.
    #[schema(value_type = Option<Link>)]
    image_url: Option<String>,
    /// Its id, for one that has it already; a dog that is there under it stays as it is.
    id: Option<Uuid>,
    /// When it was made; the import's start, where it is missing.
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<Timestamp>,
}

/// What became of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ImportReport)]
pub(super) struct ReportDocument {
    /// Its key: send the same lines under it to take an interrupted import up again.
    #[schema(example = "spring-2026")]
    import: String,
    /// Lines dealt with, counted from its start.
    #[schema(example = 1000)]
    lines: u64,
    /// Lines that an earlier run had dealt with.
    #[schema(example = 0)]
    resumed_from: u64,
    /// Dogs made by this run.
    #[schema(example = 999)]
    created: u64,
    /// Rows of this run whose dog was there already.
    #[schema(example = 0)]
    existing: u64,
    /// Lines of this run that were refused.
    #[schema(example = 1)]
    failed: u64,
    /// The first of the refused lines, 1,000 at most.
    errors: Vec<LineErrorDocument>,
}

/// What is wrong with a line of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LineError)]
pub(super) struct LineErrorDocument {
    /// Its number, from 1.
    #[schema(example = 17)]
    line: u64,
    /// The field at fault, where one is.
    #[schema(required = true, example = "breed")]
    field: Option<String>,
    /// What is wrong.
    #[schema(example = "must be one to four words of a-z and 0-9, at most 64 characters")]
    reason: String,
}

impl From<ImportReport> for ReportDocument {
    fn from(report: ImportReport) -> Self {
        let errors = report.errors.into_iter();
        Self {
            import: report.import,
            lines: report.lines,
            resumed_from: report.resumed_from,
            created: report.created,
            existing: report.existing,
            failed: report.failed,
            errors: errors
                .map(|error| LineErrorDocument {
                    line: error.line,
                    field: error.field.map(Into::into),
                    reason: error.reason,
                })
                .collect(),
        }
    }
}

/// Something that happened, as it is told on the stream of events.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Event)]
pub(super) struct EventDocument {
    /// Its id, the same on every stream.
    id: Uuid,
    /// What kind of event it is.
    #[serde(rename = "type")]
    #[schema(example = "dogs.created")]
    name: String,
    /// When it happened, in UTC.
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T09:30:00.000Z")]
    time: Timestamp,
    /// What it is about: a dog's id, or an import's key.
    subject: String,
    /// Its data; `asyncapi.yaml` has the schema for each type.
    #[schema(value_type = Object)]
    data: serde_json::Value,
}

impl TryFrom<&Event> for EventDocument {
    type Error = serde_json::Error;

    fn try_from(event: &Event) -> Result<Self, serde_json::Error> {
        Ok(Self {
            id: event.id,
            name: event.name.clone(),
            time: event.time,
            subject: event.key.clone(),
            data: serde_json::from_slice(&event.data)?,
        })
    }
}
