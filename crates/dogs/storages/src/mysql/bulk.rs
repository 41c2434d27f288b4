//! Writes many dogs with few statements.

use std::array;

use dogs_domain::Dog;
use kennel_core::RepoError;
use kennel_storage::mysql::{Write, classify};
use sqlx::MySql;
use sqlx::mysql::MySqlArguments;
use sqlx::query::Query;

use super::rows::bind_dog;

/// Number of statements: for 1, 2, 4 and so on up to 128 rows.
const LENGTHS: usize = 8;
/// Maximum bytes of rows per statement, so that it fits into one TLS record of 16 KiB. The driver sends each record
/// separately with Nagle's algorithm enabled (sqlx 0.9.0, its issue 4335): with packets as large as on loopback, a
/// second record waits 40 ms for an acknowledgement, which made a copy over TLS 16 times slower than without TLS.
const MAX_STATEMENT_BYTES: usize = 16_000;
/// Maximum bytes of a row in addition to its texts: types, lengths, id, numbers and times.
const ROW_OVERHEAD: usize = 88;

/// A row of a statement.
pub(super) trait BulkRow: Sync {
    /// The bytes of its texts.
    fn size(&self) -> usize;

    /// Binds its columns, in the order of the statement.
    fn bind<'q>(&self, query: Query<'q, MySql, MySqlArguments>) -> Result<Query<'q, MySql, MySqlArguments>, RepoError>;
}

impl<R: BulkRow> BulkRow for &R {
    fn size(&self) -> usize {
        R::size(self)
    }

    fn bind<'q>(&self, query: Query<'q, MySql, MySqlArguments>) -> Result<Query<'q, MySql, MySqlArguments>, RepoError> {
        R::bind(self, query)
    }
}

impl BulkRow for Dog {
    fn size(&self) -> usize {
        let photo = self.photo.as_ref().map_or(0, |photo| {
            let thumbnail = photo.thumbnail.as_ref().map_or(0, |key| key.as_str().len());
            photo.key.as_str().len() + photo.content_type.len() + thumbnail
        });
        let texts = [&self.name, &self.image_url].into_iter().flatten().map(String::len).sum::<usize>();
        self.breed.as_str().len() + texts + photo
    }

    fn bind<'q>(&self, query: Query<'q, MySql, MySqlArguments>) -> Result<Query<'q, MySql, MySqlArguments>, RepoError> {
        bind_dog(query, self)
    }
}

/// A statement in a few fixed lengths, so that all of them stay prepared for every batch length.
pub(super) struct Bulk([String; LENGTHS]);

impl Bulk {
    /// `statement` returns the statement for a number of rows.
    pub(super) fn new(statement: impl Fn(usize) -> String) -> Self {
        Self(array::from_fn(|power| statement(1 << power)))
    }

    /// Executes the statement for all rows, in their order.
    pub(super) async fn execute(&'static self, write: &mut Write, mut rows: &[impl BulkRow]) -> Result<(), RepoError> {
        while let Some(power) = fitting(rows) {
            let (chunk, rest) = rows.split_at(1 << power);
            let mut query = sqlx::query(self.0[power].as_str());
            for row in chunk {
                query = row.bind(query)?;
            }
            query.execute(write.connection()).await.map_err(classify)?;
            rows = rest;
        }
        Ok(())
    }
}

/// The exponent of the power of two of rows that fit into the next statement, which is at least one row; `None` without
/// rows.
fn fitting(rows: &[impl BulkRow]) -> Option<usize> {
    let mut bytes = 0;
    let mut fit = 0_usize;
    for row in rows.iter().take(1 << (LENGTHS - 1)) {
        bytes += ROW_OVERHEAD + row.size();
        if fit > 0 && bytes > MAX_STATEMENT_BYTES {
            break;
        }
        fit += 1;
    }
    fit.checked_ilog2().map(|power| power as usize)
}

#[cfg(test)]
mod tests {
    use dogs_domain::{DogId, Revision};
    use kennel_core::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn dog(url: usize) -> Dog {
        let now = Timestamp::from_millis(1_700_000_000_000).unwrap();
        Dog {
            id: DogId(Uuid::from_u128(1)),
            breed: "husky".parse().unwrap(),
            name: None,
            image_url: Some("u".repeat(url)),
            photo: None,
            revision: Revision(1),
            created_at: now,
            updated_at: now,
        }
    }

    fn rows(url: usize, dogs: usize) -> Option<usize> {
        fitting(&vec![dog(url); dogs]).map(|power| 1 << power)
    }

    #[test]
    fn a_statement_has_as_many_rows_as_fit_into_one_record() {
        assert_eq!(rows(0, 0), None);
        assert_eq!(rows(0, 1), Some(1));
        assert_eq!(rows(0, 127), Some(64));
        assert_eq!(rows(0, 1_000), Some(128));
        // 160 rows of 100 bytes fit into a record, and so do 128 of 125.
        assert_eq!(rows(32, 1_000), Some(128));
        assert_eq!(rows(33, 1_000), Some(64));
        assert_eq!(rows(2_048, 1_000), Some(4));
        assert_eq!(rows(MAX_STATEMENT_BYTES, 1_000), Some(1), "a longer row is sent alone");
    }
}
