//! Dogs as rows, and the statements that read pages of them.

use dogs_domain::Dog;
use dogs_domain::ports::DogQuery;
use kennel_core::{Order, RepoError};
use kennel_storage::sqlite::classify;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row as _, Sqlite};

use crate::rows;
pub(super) use crate::rows::breed_count;

/// Reads the dog in a row of `dogs`.
pub(super) fn read_dog(row: &SqliteRow) -> Result<Dog, RepoError> {
    rows::dog(row, row.try_get("revision").map_err(classify)?)
}

/// Binds the columns of a dog, in the order of the table.
pub(super) fn bind_dog<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    dog: &Dog,
) -> Result<Query<'q, Sqlite, SqliteArguments>, RepoError> {
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

/// The statement for a page. Its parameters are the breed and the last id, if the query has them, and the limit.
///
/// One statement for each shape, so that SQLite can read an index range for every shape.
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
