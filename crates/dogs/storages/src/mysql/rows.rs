//! Dogs as rows, and the statements that read pages of them.

use dogs_domain::Dog;
use dogs_domain::ports::DogQuery;
use kennel_core::{ObjectKey, Order, RepoError};
use kennel_storage::mysql::{BulkRow, classify};
use sqlx::mysql::{MySqlArguments, MySqlRow};
use sqlx::query::Query;
use sqlx::{MySql, Row as _};

use crate::rows;
pub(super) use crate::rows::breed_count;

/// Reads the dog in a row of `dogs`.
pub(super) fn read_dog(row: &MySqlRow) -> Result<Dog, RepoError> {
    rows::dog(row, row.try_get("revision").map_err(classify)?)
}

/// A row of the table.
pub(super) struct DogRow<'a>(pub(super) &'a Dog);

impl BulkRow for DogRow<'_> {
    fn size(&self) -> usize {
        let Self(dog) = self;
        let photo = dog.photo.as_ref().map_or(0, |photo| {
            let thumbnail = photo.thumbnail.as_ref().map_or(0, |key| key.as_str().len());
            photo.key.as_str().len() + photo.content_type.len() + thumbnail
        });
        let texts = [&dog.name, &dog.image_url].into_iter().flatten().map(String::len).sum::<usize>();
        dog.breed.as_str().len() + texts + photo
    }

    fn bind<'q>(
        &'q self,
        query: Query<'q, MySql, MySqlArguments>,
    ) -> Result<Query<'q, MySql, MySqlArguments>, RepoError> {
        let Self(dog) = self;
        let photo = dog.photo.as_ref();
        let size = photo.map(|photo| i64::try_from(photo.size)).transpose();
        Ok(query
            .bind(dog.id.0)
            .bind(dog.breed.as_str())
            .bind(&dog.name)
            .bind(&dog.image_url)
            .bind(photo.map(|photo| photo.key.as_str()))
            .bind(photo.map(|photo| &photo.content_type))
            .bind(size.map_err(|error| RepoError::Backend(error.into()))?)
            .bind(photo.and_then(|photo| photo.thumbnail.as_ref()).map(ObjectKey::as_str))
            .bind(dog.revision.0)
            .bind(dog.created_at.as_millis())
            .bind(dog.updated_at.as_millis()))
    }
}

/// Binds the columns of a dog in the order of the update statement, which ends with the id.
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

/// The statement for a page. Its parameters are the breed and the last id, if the query has them, and the limit.
///
/// One statement for each shape, so that the planner can read an index range for every shape.
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
