//! The target of a copy: many dogs in one transaction, with few statements.

use std::sync::LazyLock;

use async_trait::async_trait;
use dogs_domain::replica::{Checkpoint, CopyStep};
use dogs_domain::{Dog, DogId, DogReplica};
use kennel_core::RepoError;
use kennel_storage::sqlite::{Write, classify};

use super::import::{LARGE_STATEMENT_ROWS, SMALL_STATEMENT_ROWS, insert};
use super::rows::bind_dog;
use super::{SqliteDogs, read_dog};

static PUT_LARGE: LazyLock<String> = LazyLock::new(|| put(LARGE_STATEMENT_ROWS));
static PUT_SMALL: LazyLock<String> = LazyLock::new(|| put(SMALL_STATEMENT_ROWS));
static PUT_ONE: LazyLock<String> = LazyLock::new(|| put(1));

fn put(rows: usize) -> String {
    let update = "ON CONFLICT (id) DO UPDATE SET
             breed = excluded.breed, name = excluded.name, image_url = excluded.image_url,
             photo_key = excluded.photo_key, photo_type = excluded.photo_type, photo_size = excluded.photo_size,
             thumbnail = excluded.thumbnail, revision = excluded.revision, created_at = excluded.created_at,
             updated_at = excluded.updated_at
         WHERE dogs.revision <= excluded.revision";
    format!("{} {update}", insert(rows))
}

#[async_trait]
impl DogReplica for SqliteDogs {
    async fn find_all(&self, ids: &[DogId]) -> Result<Vec<Dog>, RepoError> {
        let rows =
            sqlx::query("SELECT dogs.* FROM json_each(?) AS given CROSS JOIN dogs ON dogs.id = unhex(given.value)")
                .bind(array(ids)?)
                .fetch_all(self.0.readers())
                .await
                .map_err(classify)?;
        rows.iter().map(read_dog).collect()
    }

    async fn apply(&self, step: &CopyStep) -> Result<(), RepoError> {
        let mut write = self.0.write().await?;
        if !step.removed.is_empty() {
            let delete = "DELETE FROM dogs WHERE id IN (SELECT unhex(value) FROM json_each(?))";
            let delete = sqlx::query(delete).bind(array(&step.removed)?);
            delete.execute(write.connection()).await.map_err(classify)?;
        }
        put_all(&mut write, &step.dogs).await?;
        let text = serde_json::to_string(&step.checkpoint).map_err(|error| RepoError::Backend(error.into()))?;
        sqlx::query(
            "INSERT INTO copies (source, checkpoint) VALUES (?, ?)
             ON CONFLICT (source) DO UPDATE SET checkpoint = excluded.checkpoint",
        )
        .bind(&step.source)
        .bind(text)
        .execute(write.connection())
        .await
        .map_err(classify)?;
        write.commit().await
    }

    async fn checkpoint(&self, source: &str) -> Result<Option<Checkpoint>, RepoError> {
        let found: Option<(String,)> = sqlx::query_as("SELECT checkpoint FROM copies WHERE source = ?")
            .bind(source)
            .fetch_optional(self.0.readers())
            .await
            .map_err(classify)?;
        let read = |(text,): (String,)| serde_json::from_str(&text).map_err(RepoError::corrupt);
        found.map(read).transpose()
    }
}

/// Ids as a JSON array.
fn array(ids: &[DogId]) -> Result<String, RepoError> {
    let ids: Vec<_> = ids.iter().map(|id| id.0.simple()).collect();
    serde_json::to_string(&ids).map_err(|error| RepoError::Backend(error.into()))
}

async fn put_all(write: &mut Write, dogs: &[Dog]) -> Result<(), RepoError> {
    let large = dogs.chunks_exact(LARGE_STATEMENT_ROWS);
    let small = large.remainder().chunks_exact(SMALL_STATEMENT_ROWS);
    let ones = small.remainder().chunks_exact(1);
    for (chunks, sql) in [(large, &PUT_LARGE), (small, &PUT_SMALL), (ones, &PUT_ONE)] {
        for chunk in chunks {
            let mut put = sqlx::query(sql.as_str());
            for dog in chunk {
                put = bind_dog(put, dog)?;
            }
            put.execute(write.connection()).await.map_err(classify)?;
        }
    }
    Ok(())
}
