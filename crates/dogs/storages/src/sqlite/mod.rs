//! Dogs in SQLite.

mod import;
#[cfg(test)]
mod plans;
mod replica;
mod rows;

use async_trait::async_trait;
use dogs_domain::ports::{
    Capabilities, DogQuery, IdempotencyKey, ImportBatch, ImportEvent, ImportProgress, Inserted, ThumbnailSet,
};
use dogs_domain::{BreedCount, Dog, DogId, DogImports, DogRepository, DogRetention, Revision};
use kennel_core::{Event, ObjectKey, Receipt, RepoError, Timestamp};
use kennel_storage::sqlite::{EVENTS, Sqlite, Write, classify};
use kennel_storage::{Migration, migration};

use crate::rows::earlier_result;
use rows::{bind_dog, read_dog};

/// The migrations of the schema.
pub(crate) const MIGRATIONS: &[Migration] = &[
    EVENTS,
    migration!("../../../../../migrations/dogs/sqlite", 2, "0002_dogs"),
    migration!("../../../../../migrations/dogs/sqlite", 3, "0003_copies"),
    migration!("../../../../../migrations/dogs/sqlite", 4, "0004_old_imports"),
];

/// The dogs of a SQLite database.
#[derive(Debug, Clone)]
pub struct SqliteDogs(Sqlite);

impl SqliteDogs {
    /// What this store can do.
    pub const CAPABILITIES: Capabilities = Capabilities { unique_ids: true, transactions: true };

    /// The dogs in `database`, which has the tables of [`crate::MIGRATIONS`].
    pub const fn new(database: Sqlite) -> Self {
        Self(database)
    }
}

#[async_trait]
impl DogRepository for SqliteDogs {
    async fn insert(&self, dog: &Dog, events: &[Event], key: Option<&IdempotencyKey>) -> Result<Inserted, RepoError> {
        let mut write = self.0.write().await?;
        if let Some(key) = key
            && let Some(earlier) = earlier_use(&mut write, key, dog.created_at).await?
        {
            write.commit().await?;
            return Ok(earlier);
        }
        let insert = sqlx::query("INSERT INTO dogs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
        bind_dog(insert, dog)?.execute(write.connection()).await.map_err(classify)?;
        if let Some(key) = key {
            insert_idempotency_key(&mut write, key, dog).await?;
        }
        write.append(events).await?;
        write.commit().await?;
        Ok(Inserted::New)
    }

    async fn find(&self, id: DogId) -> Result<Option<Dog>, RepoError> {
        let row = sqlx::query("SELECT * FROM dogs WHERE id = ?")
            .bind(id.0)
            .fetch_optional(self.0.readers())
            .await
            .map_err(classify)?;
        row.as_ref().map(read_dog).transpose()
    }

    async fn list(&self, query: &DogQuery) -> Result<Vec<Dog>, RepoError> {
        let mut select = sqlx::query(rows::page(query));
        if let Some(breed) = &query.breed {
            select = select.bind(breed.as_str());
        }
        if let Some(after) = query.after {
            select = select.bind(after.0);
        }
        let rows = select.bind(query.limit).fetch_all(self.0.readers()).await.map_err(classify)?;
        rows.iter().map(read_dog).collect()
    }

    async fn update(&self, dog: &Dog, expected: Revision, events: &[Event]) -> Result<bool, RepoError> {
        let mut write = self.0.write().await?;
        // Retains a thumbnail that was recorded since the caller read the dog, if the image is the same.
        let update = sqlx::query(
            "UPDATE dogs SET breed = ?2, name = ?3, image_url = ?4, photo_key = ?5, photo_type = ?6, photo_size = ?7,
                 thumbnail = coalesce(?8, iif(photo_key = ?5, thumbnail, NULL)),
                 revision = ?9, created_at = ?10, updated_at = ?11
             WHERE id = ?1 AND revision = ?12",
        );
        let updated = bind_dog(update, dog)?.bind(expected.0).execute(write.connection()).await.map_err(classify)?;
        commit_if(write, updated.rows_affected() == 1, events).await
    }

    async fn delete(&self, id: DogId, expected: Revision, events: &[Event]) -> Result<bool, RepoError> {
        let mut write = self.0.write().await?;
        let deleted = sqlx::query("DELETE FROM dogs WHERE id = ? AND revision = ?")
            .bind(id.0)
            .bind(expected.0)
            .execute(write.connection())
            .await
            .map_err(classify)?;
        commit_if(write, deleted.rows_affected() == 1, events).await
    }

    async fn set_thumbnail(
        &self,
        id: DogId,
        photo: &ObjectKey,
        thumbnail: &ObjectKey,
        receipt: &Receipt,
        events: &[Event],
    ) -> Result<ThumbnailSet, RepoError> {
        let mut write = self.0.write().await?;
        if !write.record(receipt).await? {
            return Ok(ThumbnailSet::Seen);
        }
        let set = sqlx::query("UPDATE dogs SET thumbnail = ? WHERE id = ? AND photo_key = ?")
            .bind(thumbnail.as_str())
            .bind(id.0)
            .bind(photo.as_str())
            .execute(write.connection())
            .await
            .map_err(classify)?;
        if set.rows_affected() == 0 {
            write.commit().await?;
            return Ok(ThumbnailSet::Outdated);
        }
        write.append(events).await?;
        write.commit().await?;
        Ok(ThumbnailSet::Recorded)
    }

    async fn count_by_breed(&self) -> Result<Vec<BreedCount>, RepoError> {
        let counts: Vec<(String, i64)> =
            sqlx::query_as("SELECT breed, count(*) FROM dogs GROUP BY breed ORDER BY breed")
                .fetch_all(self.0.readers())
                .await
                .map_err(classify)?;
        counts.into_iter().map(rows::breed_count).collect()
    }
}

#[async_trait]
impl DogImports for SqliteDogs {
    async fn begin_import(&self, import: &str, now: Timestamp) -> Result<ImportProgress, RepoError> {
        import::begin(&self.0, import, now).await
    }

    async fn import(&self, batch: &ImportBatch, event: ImportEvent<'_>) -> Result<Vec<DogId>, RepoError> {
        import::store(&self.0, batch, event).await
    }
}

#[async_trait]
impl DogRetention for SqliteDogs {
    async fn purge(&self, before: Timestamp, limit: u32) -> Result<u64, RepoError> {
        let keys = "DELETE FROM idempotency_keys WHERE key IN
                    (SELECT key FROM idempotency_keys WHERE used_at < ? ORDER BY used_at LIMIT ?)";
        let imports = "DELETE FROM imports WHERE key IN
                       (SELECT key FROM imports WHERE used_at < ? ORDER BY used_at LIMIT ?)";
        Ok(self.0.purge(keys, before, limit).await? + self.0.purge(imports, before, limit).await?)
    }
}

async fn commit_if(mut write: Write, changed: bool, events: &[Event]) -> Result<bool, RepoError> {
    if changed {
        write.append(events).await?;
        write.commit().await?;
    }
    Ok(changed)
}

/// The result of an earlier request with the key. Updates the time of the key's last use.
async fn earlier_use(write: &mut Write, key: &IdempotencyKey, now: Timestamp) -> Result<Option<Inserted>, RepoError> {
    let earlier: Option<(Vec<u8>, String)> = sqlx::query_as(
        "UPDATE idempotency_keys SET used_at = max(used_at, ?) WHERE key = ? RETURNING fingerprint, snapshot",
    )
    .bind(now.as_millis())
    .bind(&key.key)
    .fetch_optional(write.connection())
    .await
    .map_err(classify)?;
    let Some((fingerprint, snapshot)) = earlier else {
        return Ok(None);
    };
    earlier_result(fingerprint == key.fingerprint, &snapshot).map(Some)
}

async fn insert_idempotency_key(write: &mut Write, key: &IdempotencyKey, dog: &Dog) -> Result<(), RepoError> {
    let snapshot = serde_json::to_string(dog).map_err(|error| RepoError::Backend(error.into()))?;
    sqlx::query("INSERT INTO idempotency_keys (key, fingerprint, snapshot, used_at) VALUES (?, ?, ?, ?)")
        .bind(&key.key)
        .bind(&key.fingerprint[..])
        .bind(snapshot)
        .bind(dog.created_at.as_millis())
        .execute(write.connection())
        .await
        .map_err(classify)?;
    Ok(())
}
