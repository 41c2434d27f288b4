//! The target of a copy: many dogs with one statement.

use async_trait::async_trait;
use dogs_domain::replica::{Checkpoint, CopyStep};
use dogs_domain::{Dog, DogId, DogReplica};
use kennel_core::RepoError;
use kennel_storage::postgres::{Postgres, classify};
use uuid::Uuid;

use super::rows::bind_dogs;
use super::{PostgresDogs, read_dog};

#[async_trait]
impl DogReplica for PostgresDogs {
    async fn find_all(&self, ids: &[DogId]) -> Result<Vec<Dog>, RepoError> {
        self.0.run(|| find_all(&self.0, ids)).await
    }

    async fn apply(&self, step: &CopyStep) -> Result<(), RepoError> {
        self.0.run(|| apply(&self.0, step)).await
    }

    async fn checkpoint(&self, source: &str) -> Result<Option<Checkpoint>, RepoError> {
        self.0.run(|| checkpoint(&self.0, source)).await
    }
}

fn uuids(ids: &[DogId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.0).collect()
}

async fn find_all(database: &Postgres, ids: &[DogId]) -> Result<Vec<Dog>, RepoError> {
    let rows = sqlx::query("SELECT * FROM dogs WHERE id = ANY ($1)")
        .bind(uuids(ids))
        .fetch_all(database.single())
        .await
        .map_err(classify)?;
    rows.iter().map(read_dog).collect()
}

async fn apply(database: &Postgres, step: &CopyStep) -> Result<(), RepoError> {
    let mut write = database.write().await?;
    if !step.removed.is_empty() {
        let delete = sqlx::query("DELETE FROM dogs WHERE id = ANY ($1)").bind(uuids(&step.removed));
        delete.execute(write.connection()).await.map_err(classify)?;
    }
    if !step.dogs.is_empty() {
        let insert = sqlx::query(
            "INSERT INTO dogs AS stored
             SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
                                  $8::text[], $9::bigint[], $10::bigint[], $11::bigint[])
             ON CONFLICT (id) DO UPDATE SET
                 breed = excluded.breed, name = excluded.name, image_url = excluded.image_url,
                 photo_key = excluded.photo_key, photo_type = excluded.photo_type, photo_size = excluded.photo_size,
                 thumbnail = excluded.thumbnail, revision = excluded.revision, created_at = excluded.created_at,
                 updated_at = excluded.updated_at
             WHERE stored.revision <= excluded.revision",
        );
        bind_dogs(insert, &step.dogs)?.execute(write.connection()).await.map_err(classify)?;
    }
    let text = serde_json::to_string(&step.checkpoint).map_err(|error| RepoError::Backend(error.into()))?;
    sqlx::query(
        "INSERT INTO copies (source, checkpoint) VALUES ($1, $2)
         ON CONFLICT (source) DO UPDATE SET checkpoint = excluded.checkpoint",
    )
    .bind(&step.source)
    .bind(text)
    .execute(write.connection())
    .await
    .map_err(classify)?;
    write.commit().await
}

async fn checkpoint(database: &Postgres, source: &str) -> Result<Option<Checkpoint>, RepoError> {
    let found: Option<(String,)> = sqlx::query_as("SELECT checkpoint FROM copies WHERE source = $1")
        .bind(source)
        .fetch_optional(database.single())
        .await
        .map_err(classify)?;
    let read = |(text,): (String,)| serde_json::from_str(&text).map_err(RepoError::corrupt);
    found.map(read).transpose()
}
