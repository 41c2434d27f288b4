//! Dogs as rows, and the statements that read pages of them.

use std::borrow::Borrow;

use dogs_domain::ports::DogQuery;
use dogs_domain::{Dog, Photo};
use kennel_core::{ObjectKey, Order, RepoError};
use kennel_storage::postgres::classify;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, Row as _};

use crate::rows;
pub(super) use crate::rows::breed_count;

/// Reads the dog in a row of `dogs`.
pub(super) fn read_dog(row: &PgRow) -> Result<Dog, RepoError> {
    let revision: i64 = row.try_get("revision").map_err(classify)?;
    rows::dog(row, revision.try_into().map_err(RepoError::corrupt)?)
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
    dogs: &'q [impl Borrow<Dog>],
) -> Result<Query<'q, Postgres, PgArguments>, RepoError> {
    let dogs = || dogs.iter().map(Borrow::borrow);
    let text = |read: fn(&Dog) -> Option<&str>| dogs().map(read).collect::<Vec<_>>();
    let photo =
        |read: fn(&Photo) -> Option<&str>| dogs().map(|dog| dog.photo.as_ref().and_then(read)).collect::<Vec<_>>();
    let number = |read: fn(&Dog) -> i64| dogs().map(read).collect::<Vec<_>>();
    let size = |dog: &Dog| dog.photo.as_ref().map(|photo| i64::try_from(photo.size)).transpose();
    let sizes: Vec<Option<i64>> =
        dogs().map(size).collect::<Result<_, _>>().map_err(|error| RepoError::Backend(error.into()))?;
    Ok(query
        .bind(dogs().map(|dog| dog.id.0).collect::<Vec<_>>())
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

/// The statement for a page. Its parameters are the breed and the last id, if the query has them, and the limit.
///
/// One statement for each shape, so that the planner can read an index range for every shape.
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
