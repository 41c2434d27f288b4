//! Dogs in MySQL.

mod import;
mod insert;
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
use kennel_storage::mysql::{EVENTS, Mysql, Write, classify};
use kennel_storage::{Migration, migration};

use crate::batched::{InsertAll, NewDog};
use rows::read_dog;

/// The migrations of the schema.
pub(crate) const MIGRATIONS: &[Migration] = &[
    EVENTS,
    migration!("../../../../../migrations/dogs/mysql", 2, "0002_dogs"),
    migration!("../../../../../migrations/dogs/mysql", 3, "0003_copies"),
    migration!("../../../../../migrations/dogs/mysql", 4, "0004_old_imports"),
];

/// The dogs of a MySQL database.
#[derive(Debug, Clone)]
pub struct MysqlDogs(Mysql);

impl MysqlDogs {
    /// What this store can do.
    pub const CAPABILITIES: Capabilities = Capabilities { unique_ids: true, transactions: true };

    /// The dogs in `database`, which has the tables of [`crate::MIGRATIONS`].
    pub const fn new(database: Mysql) -> Self {
        Self(database)
    }

    async fn try_find(&self, id: DogId) -> Result<Option<Dog>, RepoError> {
        let row = sqlx::query("SELECT * FROM dogs WHERE id = ?")
            .bind(id.0)
            .fetch_optional(self.0.pool())
            .await
            .map_err(classify)?;
        row.as_ref().map(read_dog).transpose()
    }

    async fn try_list(&self, query: &DogQuery) -> Result<Vec<Dog>, RepoError> {
        let mut select = sqlx::query(rows::page(query));
        if let Some(breed) = &query.breed {
            select = select.bind(breed.as_str());
        }
        if let Some(after) = query.after {
            select = select.bind(after.0);
        }
        let rows = select.bind(query.limit).fetch_all(self.0.pool()).await.map_err(classify)?;
        rows.iter().map(read_dog).collect()
    }

    async fn try_update(&self, dog: &Dog, expected: Revision, events: &[Event]) -> Result<bool, RepoError> {
        let mut write = self.0.write().await?;
        // Retains a thumbnail that was recorded since the caller read the dog, if the image is the same. MySQL
        // evaluates assignments from left to right, so the one that reads the old image comes first.
        let update = sqlx::query(
            "UPDATE dogs SET thumbnail = coalesce(?, IF(photo_key = ?, thumbnail, NULL)), breed = ?, name = ?,
                 image_url = ?, photo_key = ?, photo_type = ?, photo_size = ?, revision = ?, created_at = ?,
                 updated_at = ?
             WHERE id = ? AND revision = ?",
        );
        let update = rows::bind_change(update, dog)?.bind(expected.0);
        let updated = update.execute(write.connection()).await.map_err(classify)?;
        commit_if(write, updated.rows_affected() == 1, events).await
    }

    async fn try_delete(&self, id: DogId, expected: Revision, events: &[Event]) -> Result<bool, RepoError> {
        let mut write = self.0.write().await?;
        let deleted = sqlx::query("DELETE FROM dogs WHERE id = ? AND revision = ?")
            .bind(id.0)
            .bind(expected.0)
            .execute(write.connection())
            .await
            .map_err(classify)?;
        commit_if(write, deleted.rows_affected() == 1, events).await
    }

    async fn try_set_thumbnail(
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

    async fn try_count(&self) -> Result<Vec<BreedCount>, RepoError> {
        let counts: Vec<(String, i64)> =
            sqlx::query_as("SELECT breed, count(*) FROM dogs GROUP BY breed ORDER BY breed")
                .fetch_all(self.0.pool())
                .await
                .map_err(classify)?;
        counts.into_iter().map(rows::breed_count).collect()
    }
}

#[async_trait]
impl DogRepository for MysqlDogs {
    async fn insert(&self, dog: &Dog, events: &[Event], key: Option<&IdempotencyKey>) -> Result<Inserted, RepoError> {
        let inserted = self.insert_all(&[NewDog { dog, events, key }]).await?;
        Ok(inserted.into_iter().next().unwrap_or(Inserted::New))
    }

    async fn find(&self, id: DogId) -> Result<Option<Dog>, RepoError> {
        self.0.run(|| self.try_find(id)).await
    }

    async fn list(&self, query: &DogQuery) -> Result<Vec<Dog>, RepoError> {
        self.0.run(|| self.try_list(query)).await
    }

    async fn update(&self, dog: &Dog, expected: Revision, events: &[Event]) -> Result<bool, RepoError> {
        self.0.run(|| self.try_update(dog, expected, events)).await
    }

    async fn delete(&self, id: DogId, expected: Revision, events: &[Event]) -> Result<bool, RepoError> {
        self.0.run(|| self.try_delete(id, expected, events)).await
    }

    async fn set_thumbnail(
        &self,
        id: DogId,
        photo: &ObjectKey,
        thumbnail: &ObjectKey,
        receipt: &Receipt,
        events: &[Event],
    ) -> Result<ThumbnailSet, RepoError> {
        self.0.run(|| self.try_set_thumbnail(id, photo, thumbnail, receipt, events)).await
    }

    async fn count_by_breed(&self) -> Result<Vec<BreedCount>, RepoError> {
        self.0.run(|| self.try_count()).await
    }
}

#[async_trait]
impl InsertAll for MysqlDogs {
    async fn insert_all(&self, inserts: &[NewDog<'_>]) -> Result<Vec<Inserted>, RepoError> {
        self.0.run(|| insert::insert_all(&self.0, inserts)).await
    }
}

#[async_trait]
impl DogImports for MysqlDogs {
    async fn begin_import(&self, import: &str, now: Timestamp) -> Result<ImportProgress, RepoError> {
        self.0.run(|| import::begin(&self.0, import, now)).await
    }

    async fn import(&self, batch: &ImportBatch, event: ImportEvent<'_>) -> Result<Vec<DogId>, RepoError> {
        self.0.run(|| import::store(&self.0, batch, event)).await
    }
}

#[async_trait]
impl DogRetention for MysqlDogs {
    async fn purge(&self, before: Timestamp, limit: u32) -> Result<u64, RepoError> {
        let keys = "DELETE FROM idempotency_keys WHERE used_at < ? ORDER BY used_at LIMIT ?";
        let imports = "DELETE FROM imports WHERE used_at < ? ORDER BY used_at LIMIT ?";
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
