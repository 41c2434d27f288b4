//! The target of a copy: many dogs with few statements.

use std::sync::LazyLock;

use async_trait::async_trait;
use dogs_domain::replica::{Checkpoint, CopyStep};
use dogs_domain::{Dog, DogId, DogReplica};
use kennel_core::RepoError;
use kennel_storage::mysql::{Bulk, MAX_IDS, Mysql, classify, json_array};

use super::import::insert;
use super::rows::DogRow;
use super::{MysqlDogs, read_dog};

static PUT: LazyLock<Bulk> = LazyLock::new(|| Bulk::new(put));

/// MySQL evaluates assignments from left to right, so `revision`, which the others read, comes last.
fn put(rows: usize) -> String {
    let columns = [
        "breed",
        "name",
        "image_url",
        "photo_key",
        "photo_type",
        "photo_size",
        "thumbnail",
        "created_at",
        "updated_at",
        "revision",
    ];
    let assign = |column: &&str| format!("{column} = IF(revision <= VALUES(revision), VALUES({column}), {column})");
    let assignments: Vec<_> = columns.iter().map(assign).collect();
    format!("{} ON DUPLICATE KEY UPDATE {}", insert(rows), assignments.join(", "))
}

#[async_trait]
impl DogReplica for MysqlDogs {
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

async fn find_all(database: &Mysql, ids: &[DogId]) -> Result<Vec<Dog>, RepoError> {
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(MAX_IDS) {
        let dogs = sqlx::query(
            "SELECT dogs.* FROM JSON_TABLE(?, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS given
             STRAIGHT_JOIN dogs FORCE INDEX (PRIMARY) ON dogs.id = UNHEX(given.id)",
        );
        let rows =
            dogs.bind(json_array(ids.iter().map(|id| id.0))?).fetch_all(database.pool()).await.map_err(classify)?;
        for row in &rows {
            found.push(read_dog(row)?);
        }
    }
    Ok(found)
}

async fn apply(database: &Mysql, step: &CopyStep) -> Result<(), RepoError> {
    let mut write = database.write().await?;
    for id in &step.removed {
        let delete = sqlx::query("DELETE FROM dogs WHERE id = ?").bind(id.0);
        delete.execute(write.connection()).await.map_err(classify)?;
    }
    let dogs: Vec<_> = step.dogs.iter().map(DogRow).collect();
    PUT.execute(write.connection(), &dogs).await?;
    let text = serde_json::to_string(&step.checkpoint).map_err(|error| RepoError::Backend(error.into()))?;
    sqlx::query(
        "INSERT INTO copies (source, checkpoint) VALUES (?, ?) ON DUPLICATE KEY UPDATE checkpoint = VALUES(checkpoint)",
    )
    .bind(step.source.as_bytes())
    .bind(text)
    .execute(write.connection())
    .await
    .map_err(classify)?;
    write.commit().await
}

async fn checkpoint(database: &Mysql, source: &str) -> Result<Option<Checkpoint>, RepoError> {
    let found: Option<(String,)> = sqlx::query_as("SELECT checkpoint FROM copies WHERE source = ?")
        .bind(source.as_bytes())
        .fetch_optional(database.pool())
        .await
        .map_err(classify)?;
    let read = |(text,): (String,)| serde_json::from_str(&text).map_err(RepoError::corrupt);
    found.map(read).transpose()
}
