//! The JSON bodies of requests and responses.

use dogs_domain::import::ImportReport;
use dogs_domain::service::{DogPatch, NewDog};
use dogs_domain::{Breed, BreedCount, Dog, DogError};
use kennel_core::{Event, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::urls::DogUrls;
use super::values::{BreedName, DogName, Link};

/// A dog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Dog)]
pub(super) struct DogResponse {
    /// Its id. Ids increase over time, so they sort by age.
    #[schema(example = "0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10")]
    id: Uuid,
    /// Its breed, with its sub-breed where it has one.
    #[schema(example = "hound-afghan")]
    breed: String,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Rex", nullable = false)]
    name: Option<String>,
    /// The URL of its image: the stored image, else the given link.
    #[schema(
        required = true,
        example = "http://localhost:8080/api/v1/dogs/0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10/photo"
    )]
    image_url: Option<String>,
    /// The URL of the thumbnail; null until it is created.
    #[schema(
        format = "uri",
        required = true,
        example = "http://localhost:8080/api/v1/dogs/0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10/photo?variant=thumbnail"
    )]
    thumbnail_url: Option<String>,
    /// The URL of the image outside the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "https://images.dog.ceo/breeds/hound-afghan/n02088094_1003.jpg")]
    source_url: Option<String>,
    /// The revision: 1 when created, incremented by each change.
    #[schema(example = 1)]
    revision: u32,
    /// When it was created, in UTC.
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T09:30:00.000Z")]
    created_at: Timestamp,
    /// When it was last changed, in UTC.
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T09:30:00.000Z")]
    updated_at: Timestamp,
}

impl DogResponse {
    pub(super) fn new(dog: &Dog, urls: &DogUrls) -> Self {
        Self {
            id: dog.id.0,
            breed: dog.breed.to_string(),
            name: dog.name.clone(),
            image_url: urls.image(dog),
            thumbnail_url: urls.thumbnail(dog),
            source_url: dog.image_url.clone(),
            revision: dog.revision.0,
            created_at: dog.created_at,
            updated_at: dog.updated_at,
        }
    }
}

/// An image that was fetched and stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = DogImage)]
pub(super) struct DogImageResponse {
    /// The id of the dog that was created with it.
    #[schema(example = "0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10")]
    id: Uuid,
    /// Its breed.
    #[schema(example = "husky")]
    breed: String,
    /// The URL of the image.
    #[schema(
        format = "uri",
        required = true,
        example = "http://localhost:8080/api/v1/dogs/0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10/photo"
    )]
    image_url: Option<String>,
    /// The URL of the thumbnail; null until it is created.
    #[schema(format = "uri", required = true)]
    thumbnail_url: Option<String>,
    /// When the dog was created, in UTC.
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T09:30:00.000Z")]
    created_at: Timestamp,
}

impl DogImageResponse {
    pub(super) fn new(dog: &Dog, urls: &DogUrls) -> Self {
        Self {
            id: dog.id.0,
            breed: dog.breed.to_string(),
            image_url: urls.image(dog),
            thumbnail_url: urls.thumbnail(dog),
            created_at: dog.created_at,
        }
    }
}

/// A page of dogs.
// A type of its own, because utoipa 6 describes the items of a generic one in place, without their name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = DogPage)]
pub(super) struct DogPageResponse {
    /// The dogs, in the requested order.
    pub(super) items: Vec<DogResponse>,
    /// The cursor of the next page; null on the last one.
    #[schema(required = true, example = "AZjF8n0-fEGdGgtvfC9aEA")]
    pub(super) next: Option<String>,
}

/// A dog to create.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewDog)]
pub(super) struct CreateDogRequest {
    /// Its breed.
    #[schema(value_type = BreedName)]
    breed: String,
    /// Its name.
    #[serde(default)]
    #[schema(value_type = Option<DogName>)]
    name: Option<String>,
    /// A link to an image of it outside the service.
    #[serde(default)]
    #[schema(value_type = Option<Link>)]
    image_url: Option<String>,
}

impl TryFrom<CreateDogRequest> for NewDog {
    type Error = DogError;

    fn try_from(request: CreateDogRequest) -> Result<Self, DogError> {
        Ok(Self { breed: parse_breed(&request.breed)?, name: request.name, image_url: request.image_url })
    }
}

/// Changes to a dog, as a JSON merge patch (RFC 7396): a missing field is unchanged, null removes the value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DogChanges)]
#[expect(clippy::option_option, reason = "missing, null and a value are different in a merge patch")]
pub(super) struct UpdateDogRequest {
    /// The new breed. Every dog has one, so null is rejected.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = BreedName, required = false)]
    breed: Option<Option<String>>,
    /// The new name, or null for none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<DogName>)]
    name: Option<Option<String>>,
    /// The new link, or null for none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Link>)]
    image_url: Option<Option<String>>,
}

#[expect(clippy::option_option, reason = "missing, null and a value are different in a merge patch")]
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl TryFrom<UpdateDogRequest> for DogPatch {
    type Error = DogError;

    fn try_from(request: UpdateDogRequest) -> Result<Self, DogError> {
        let breed = match request.breed {
            Some(Some(breed)) => Some(parse_breed(&breed)?),
            Some(None) => return Err(DogError::invalid("breed", "cannot be removed")),
            None => None,
        };
        Ok(Self { breed, name: request.name, image_url: request.image_url })
    }
}

/// Parses the field `breed`.
pub(super) fn parse_breed(text: &str) -> Result<Breed, DogError> {
    text.parse().map_err(|error: dogs_domain::model::InvalidBreed| DogError::invalid("breed", error.to_string()))
}

/// A breed and its number of dogs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Breed)]
pub(super) struct BreedResponse {
    /// The breed, with its sub-breed where it has one.
    #[schema(example = "hound-afghan")]
    breed: String,
    /// The number of dogs of exactly this breed.
    #[schema(example = 3)]
    dogs: u64,
}

impl From<BreedCount> for BreedResponse {
    fn from(count: BreedCount) -> Self {
        Self { breed: count.breed.into(), dogs: count.dogs }
    }
}

/// All known breeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Breeds)]
pub(super) struct BreedListResponse {
    /// The breeds, by name.
    pub(super) items: Vec<BreedResponse>,
}

/// A line of an import.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportRow)]
#[expect(dead_code, reason = "only describes `dogs_domain::import::Row`")]
pub(super) struct ImportRowRequest {
    /// The dog's breed.
    #[schema(value_type = BreedName)]
    breed: String,
    /// Its name.
    #[schema(value_type = Option<DogName>)]
    name: Option<String>,
    /// A link to an image of it.
    #[schema(value_type = Option<Link>)]
    image_url: Option<String>,
    /// Its id, if it already has one; an existing dog with this id is not changed.
    id: Option<Uuid>,
    /// When it was created; defaults to the start of the import.
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<Timestamp>,
}

/// The result of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ImportReport)]
pub(super) struct ImportReportResponse {
    /// Its key: to resume an interrupted import, send the same lines with this key.
    #[schema(example = "spring-2026")]
    import: String,
    /// Lines processed, from its start.
    #[schema(example = 1000)]
    lines: u64,
    /// Lines that earlier runs processed.
    #[schema(example = 0)]
    resumed_from: u64,
    /// Dogs created by this run.
    #[schema(example = 999)]
    created: u64,
    /// Rows of this run whose dog already existed.
    #[schema(example = 0)]
    existing: u64,
    /// Lines rejected by this run.
    #[schema(example = 1)]
    failed: u64,
    /// The first rejected lines, at most 1,000.
    errors: Vec<ImportLineErrorResponse>,
}

/// Why a line of an import was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LineError)]
pub(super) struct ImportLineErrorResponse {
    /// The line number, from 1.
    #[schema(example = 17)]
    line: u64,
    /// The invalid field, if it is one field.
    #[schema(required = true, example = "breed")]
    field: Option<String>,
    /// Why it was rejected.
    #[schema(example = "must be one to four words of a-z and 0-9, at most 64 characters")]
    reason: String,
}

impl From<ImportReport> for ImportReportResponse {
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
                .map(|error| ImportLineErrorResponse {
                    line: error.line,
                    field: error.field.map(Into::into),
                    reason: error.reason,
                })
                .collect(),
        }
    }
}

/// An event, as it is sent on the event stream.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Event)]
pub(super) struct EventResponse {
    /// Its id, the same on every stream.
    id: Uuid,
    /// Its type.
    #[serde(rename = "type")]
    #[schema(example = "dogs.created")]
    name: String,
    /// When it happened, in UTC.
    #[schema(value_type = String, format = DateTime, example = "2026-11-20T09:30:00.000Z")]
    time: Timestamp,
    /// Its subject: the id of a dog, or the key of an import.
    subject: String,
    /// Its data; `asyncapi.yaml` has the schema of each type.
    #[schema(value_type = Object)]
    data: serde_json::Value,
}

impl TryFrom<&Event> for EventResponse {
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
