//! Reads dogs from the rows of any SQL database.

use dogs_domain::ports::Inserted;
use dogs_domain::{BreedCount, Dog, DogId, Photo, Revision};
use kennel_core::RepoError;
use kennel_storage::{Columns, classify};

/// Reads the dog in a row of `dogs`. The revision is a parameter, because its column type differs between databases.
pub(crate) fn dog(row: &impl Columns, revision: u32) -> Result<Dog, RepoError> {
    Ok(Dog {
        id: DogId(row.id("id").map_err(classify)?),
        breed: row.text("breed").map_err(classify)?.parse().map_err(RepoError::corrupt)?,
        name: row.maybe_text("name").map_err(classify)?,
        image_url: row.maybe_text("image_url").map_err(classify)?,
        photo: photo(row)?,
        revision: Revision(revision),
        created_at: row.time("created_at").map_err(classify)?,
        updated_at: row.time("updated_at").map_err(classify)?,
    })
}

fn photo(row: &impl Columns) -> Result<Option<Photo>, RepoError> {
    let Some(key) = row.maybe_text("photo_key").map_err(classify)? else {
        return Ok(None);
    };
    let thumbnail = row.maybe_text("thumbnail").map_err(classify)?;
    Ok(Some(Photo {
        key: key.parse().map_err(RepoError::corrupt)?,
        content_type: row.text("photo_type").map_err(classify)?,
        size: row.number("photo_size").map_err(classify)?.try_into().map_err(RepoError::corrupt)?,
        thumbnail: thumbnail.map(|key| key.parse().map_err(RepoError::corrupt)).transpose()?,
    }))
}

pub(crate) fn breed_count((breed, dogs): (String, i64)) -> Result<BreedCount, RepoError> {
    Ok(BreedCount { breed: breed.parse().map_err(RepoError::corrupt)?, dogs: dogs.unsigned_abs() })
}

/// The result of a request whose key was used before: for the `same` request, the `snapshot` of its dog.
pub(crate) fn earlier_result(same: bool, snapshot: &str) -> Result<Inserted, RepoError> {
    if same {
        serde_json::from_str(snapshot).map(Inserted::Replayed).map_err(RepoError::corrupt)
    } else {
        Ok(Inserted::KeyReused)
    }
}
