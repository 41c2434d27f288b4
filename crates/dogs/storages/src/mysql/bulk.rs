//! Many dogs with few statements.

use std::array;
use std::borrow::Borrow;

use dogs_domain::Dog;
use kennel_core::RepoError;
use kennel_storage::mysql::{Write, classify};

use super::rows::bind_dog;

/// How many statements there are: for 1, 2, 4 rows and so on, 128 at most.
const LENGTHS: usize = 8;
/// Bytes of rows in one statement at most, so that it is one record of TLS, which holds 16 KiB. The driver sends each
/// record by itself with Nagle's algorithm on (sqlx 0.9.0, its issue 4335): where packets are as long as on loopback, a
/// second one waits 40 ms for an acknowledgement, and a copy over TLS was 16 times slower than without.
const RECORD: usize = 16_000;
/// Bytes that a row takes beside its texts, at most: types, lengths, id, numbers and times.
const ROW: usize = 88;

/// A statement of few fixed lengths, so that all of them stay prepared whatever the length of a batch.
pub(super) struct Bulk([String; LENGTHS]);

impl Bulk {
    /// `statement` gives it for a number of rows.
    pub(super) fn new(statement: impl Fn(usize) -> String) -> Self {
        Self(array::from_fn(|power| statement(1 << power)))
    }

    /// Carries it out for all of the dogs, in their order.
    pub(super) async fn execute(
        &'static self,
        write: &mut Write,
        mut dogs: &[impl Borrow<Dog> + Sync],
    ) -> Result<(), RepoError> {
        while let Some(power) = fitting(dogs.iter().map(Borrow::borrow)) {
            let (part, rest) = dogs.split_at(1 << power);
            let mut query = sqlx::query(self.0[power].as_str());
            for dog in part {
                query = bind_dog(query, dog.borrow())?;
            }
            query.execute(write.connection()).await.map_err(classify)?;
            dogs = rest;
        }
        Ok(())
    }
}

/// The power of two of the dogs that the next statement takes, and one dog at least; `None` without any.
fn fitting<'a>(dogs: impl Iterator<Item = &'a Dog>) -> Option<usize> {
    let mut bytes = 0;
    let mut rows = 0_usize;
    for dog in dogs.take(1 << (LENGTHS - 1)) {
        bytes += size(dog);
        if rows > 0 && bytes > RECORD {
            break;
        }
        rows += 1;
    }
    rows.checked_ilog2().map(|power| power as usize)
}

/// Bytes of its row in a statement, at most.
fn size(dog: &Dog) -> usize {
    let photo = dog.photo.as_ref().map_or(0, |photo| {
        let thumbnail = photo.thumbnail.as_ref().map_or(0, |key| key.as_str().len());
        photo.key.as_str().len() + photo.content_type.len() + thumbnail
    });
    let texts = [&dog.name, &dog.image_url].into_iter().flatten().map(String::len).sum::<usize>();
    ROW + dog.breed.as_str().len() + texts + photo
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
        fitting(vec![dog(url); dogs].iter()).map(|power| 1 << power)
    }

    #[test]
    fn a_statement_takes_as_many_rows_as_one_record_has_room_for() {
        assert_eq!(rows(0, 0), None);
        assert_eq!(rows(0, 1), Some(1));
        assert_eq!(rows(0, 127), Some(64));
        assert_eq!(rows(0, 1_000), Some(128));
        // 160 rows of 100 bytes are a record, and so are 128 of 125.
        assert_eq!(rows(32, 1_000), Some(128));
        assert_eq!(rows(33, 1_000), Some(64));
        assert_eq!(rows(2_048, 1_000), Some(4));
        assert_eq!(rows(RECORD, 1_000), Some(1), "one that is longer goes alone");
    }
}
