//! Dogs as rows, and the statements that read pages of them.

use dogs_domain::ports::DogQuery;
use dogs_domain::{BreedCount, Dog, DogId, Photo, Revision};
use kennel_core::{BoxError, Order, RepoError, Timestamp};
use sqlx::mysql::{MySqlArguments, MySqlRow};
use sqlx::query::Query;
use sqlx::{MySql, Row as _};

/// A row of `dogs`.
pub(super) struct DogRow {
    id: DogId,
    breed: String,
    name: Option<String>,
    image_url: Option<String>,
    photo: Option<PhotoRow>,
    revision: u32,
    created_at: i64,
    updated_at: i64,
}

struct PhotoRow {
    key: String,
    content_type: String,
    size: i64,
    thumbnail: Option<String>,
}

impl DogRow {
    pub(super) fn read(row: &MySqlRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: DogId(row.try_get("id")?),
            breed: row.try_get("breed")?,
            name: row.try_get("name")?,
            image_url: row.try_get("image_url")?,
            photo: PhotoRow::read(row)?,
            revision: row.try_get("revision")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

impl PhotoRow {
    fn read(row: &MySqlRow) -> Result<Option<Self>, sqlx::Error> {
        let Some(key) = row.try_get("photo_key")? else {
            return Ok(None);
        };
        Ok(Some(Self {
            key,
            content_type: row.try_get("photo_type")?,
            size: row.try_get("photo_size")?,
            thumbnail: row.try_get("thumbnail")?,
        }))
    }
}

impl TryFrom<DogRow> for Dog {
    type Error = RepoError;

    fn try_from(row: DogRow) -> Result<Self, Self::Error> {
        Ok(Self {
            id: row.id,
            breed: row.breed.parse().map_err(corrupt)?,
            name: row.name,
            image_url: row.image_url,
            photo: row.photo.map(Photo::try_from).transpose()?,
            revision: Revision(row.revision),
            created_at: Timestamp::from_millis(row.created_at).map_err(corrupt)?,
            updated_at: Timestamp::from_millis(row.updated_at).map_err(corrupt)?,
        })
    }
}

impl TryFrom<PhotoRow> for Photo {
    type Error = RepoError;

    fn try_from(row: PhotoRow) -> Result<Self, Self::Error> {
        Ok(Self {
            key: row.key.parse().map_err(corrupt)?,
            content_type: row.content_type,
            size: row.size.try_into().map_err(corrupt)?,
            thumbnail: row.thumbnail.map(|key| key.parse().map_err(corrupt)).transpose()?,
        })
    }
}

fn corrupt(error: impl Into<BoxError>) -> RepoError {
    RepoError::Corrupt(error.into())
}

pub(super) fn breed_count((breed, dogs): (String, i64)) -> Result<BreedCount, RepoError> {
    Ok(BreedCount { breed: breed.parse().map_err(corrupt)?, dogs: dogs.unsigned_abs() })
}

/// Binds the columns of a dog, in the order of the table.
pub(super) fn bind_dog<'q>(
    query: Query<'q, MySql, MySqlArguments>,
    dog: &Dog,
) -> Result<Query<'q, MySql, MySqlArguments>, RepoError> {
    let photo = dog.photo.as_ref();
    let size = photo.map(|photo| i64::try_from(photo.size)).transpose();
    Ok(query
        .bind(dog.id.0)
        .bind(dog.breed.as_str().to_owned())
        .bind(dog.name.clone())
        .bind(dog.image_url.clone())
        .bind(photo.map(|photo| photo.key.as_str().to_owned()))
        .bind(photo.map(|photo| photo.content_type.clone()))
        .bind(size.map_err(|error| RepoError::Backend(error.into()))?)
        .bind(photo.and_then(|photo| photo.thumbnail.as_ref()).map(|key| key.as_str().to_owned()))
        .bind(dog.revision.0)
        .bind(dog.created_at.as_millis())
        .bind(dog.updated_at.as_millis()))
}

/// Binds the columns of a dog in the order of its update, which ends with the id.
pub(super) fn bind_change<'q>(
    query: Query<'q, MySql, MySqlArguments>,
    dog: &Dog,
) -> Result<Query<'q, MySql, MySqlArguments>, RepoError> {
    let photo = dog.photo.as_ref();
    let key = photo.map(|photo| photo.key.as_str().to_owned());
    let size = photo.map(|photo| i64::try_from(photo.size)).transpose();
    Ok(query
        .bind(photo.and_then(|photo| photo.thumbnail.as_ref()).map(|key| key.as_str().to_owned()))
        .bind(key.clone())
        .bind(dog.breed.as_str().to_owned())
        .bind(dog.name.clone())
        .bind(dog.image_url.clone())
        .bind(key)
        .bind(photo.map(|photo| photo.content_type.clone()))
        .bind(size.map_err(|error| RepoError::Backend(error.into()))?)
        .bind(dog.revision.0)
        .bind(dog.created_at.as_millis())
        .bind(dog.updated_at.as_millis())
        .bind(dog.id.0))
}

/// The statement for a page; it takes the breed and the last id where the query has them, then the limit.
///
/// One statement for each shape, so that the planner can walk an index from the key on, whatever the shape.
pub(super) const fn page(query: &DogQuery) -> &'static str {
    match (query.order, query.breed.is_some(), query.after.is_some()) {
        (Order::Ascending, false, false) => "SELECT * FROM dogs ORDER BY id LIMIT ?",
        (Order::Ascending, false, true) => "SELECT * FROM dogs WHERE id > ? ORDER BY id LIMIT ?",
        (Order::Ascending, true, false) => "SELECT * FROM dogs WHERE breed = ? ORDER BY id LIMIT ?",
        (Order::Ascending, true, true) => "SELECT * FROM dogs WHERE breed = ? AND id > ? ORDER BY id LIMIT ?",
        (Order::Descending, false, false) => "SELECT * FROM dogs ORDER BY id DESC LIMIT ?",
        (Order::Descending, false, true) => "SELECT * FROM dogs WHERE id < ? ORDER BY id DESC LIMIT ?",
        (Order::Descending, true, false) => "SELECT * FROM dogs WHERE breed = ? ORDER BY id DESC LIMIT ?",
        (Order::Descending, true, true) => "SELECT * FROM dogs WHERE breed = ? AND id < ? ORDER BY id DESC LIMIT ?",
    }
}
