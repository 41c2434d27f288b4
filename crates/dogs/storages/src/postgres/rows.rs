//! Dogs as rows, and the statements that read pages of them.

use dogs_domain::ports::DogQuery;
use dogs_domain::{BreedCount, Dog, DogId, Photo, Revision};
use kennel_core::{BoxError, ObjectKey, Order, RepoError, Timestamp};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, Row as _};

/// A row of `dogs`.
pub(super) struct DogRow {
    id: DogId,
    breed: String,
    name: Option<String>,
    image_url: Option<String>,
    photo: Option<PhotoRow>,
    revision: i64,
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
    pub(super) fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
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
    fn read(row: &PgRow) -> Result<Option<Self>, sqlx::Error> {
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
            revision: Revision(row.revision.try_into().map_err(corrupt)?),
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
    query: Query<'q, Postgres, PgArguments>,
    dog: &Dog,
) -> Result<Query<'q, Postgres, PgArguments>, RepoError> {
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
        .bind(i64::from(dog.revision.0))
        .bind(dog.created_at.as_millis())
        .bind(dog.updated_at.as_millis()))
}

/// Binds the columns of dogs as arrays, in the order of the table.
pub(super) fn bind_dogs<'q>(
    query: Query<'q, Postgres, PgArguments>,
    dogs: &'q [Dog],
) -> Result<Query<'q, Postgres, PgArguments>, RepoError> {
    let text = |read: fn(&Dog) -> Option<&str>| dogs.iter().map(read).collect::<Vec<_>>();
    let photo =
        |read: fn(&Photo) -> Option<&str>| dogs.iter().map(|dog| dog.photo.as_ref().and_then(read)).collect::<Vec<_>>();
    let number = |read: fn(&Dog) -> i64| dogs.iter().map(read).collect::<Vec<_>>();
    let size = |dog: &Dog| dog.photo.as_ref().map(|photo| i64::try_from(photo.size)).transpose();
    let sizes: Vec<Option<i64>> =
        dogs.iter().map(size).collect::<Result<_, _>>().map_err(|error| RepoError::Backend(error.into()))?;
    Ok(query
        .bind(dogs.iter().map(|dog| dog.id.0).collect::<Vec<_>>())
        .bind(text(|dog| Some(dog.breed.as_str())))
        .bind(text(|dog| dog.name.as_deref()))
        .bind(text(|dog| dog.image_url.as_deref()))
        .bind(photo(|photo| Some(photo.key.as_str())))
        .bind(photo(|photo| Some(&photo.content_type)))
        .bind(sizes)
        .bind(photo(|photo| photo.thumbnail.as_ref().map(ObjectKey::as_str)))
        .bind(number(|dog| i64::from(dog.revision.0)))
        .bind(number(|dog| dog.created_at.as_millis()))
        .bind(number(|dog| dog.updated_at.as_millis())))
}

/// The statement for a page; it takes the breed and the last id where the query has them, then the limit.
///
/// One statement for each shape, so that the planner can walk an index from the key on, whatever the shape.
pub(super) const fn page(query: &DogQuery) -> &'static str {
    match (query.order, query.breed.is_some(), query.after.is_some()) {
        (Order::Ascending, false, false) => "SELECT * FROM dogs ORDER BY id LIMIT $1",
        (Order::Ascending, false, true) => "SELECT * FROM dogs WHERE id > $1 ORDER BY id LIMIT $2",
        (Order::Ascending, true, false) => "SELECT * FROM dogs WHERE breed = $1 ORDER BY id LIMIT $2",
        (Order::Ascending, true, true) => "SELECT * FROM dogs WHERE breed = $1 AND id > $2 ORDER BY id LIMIT $3",
        (Order::Descending, false, false) => "SELECT * FROM dogs ORDER BY id DESC LIMIT $1",
        (Order::Descending, false, true) => "SELECT * FROM dogs WHERE id < $1 ORDER BY id DESC LIMIT $2",
        (Order::Descending, true, false) => "SELECT * FROM dogs WHERE breed = $1 ORDER BY id DESC LIMIT $2",
        (Order::Descending, true, true) => "SELECT * FROM dogs WHERE breed = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
    }
}
