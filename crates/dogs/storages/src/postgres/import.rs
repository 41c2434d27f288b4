//! Imports: many dogs in one transaction, with one statement.

use std::collections::HashSet;

use dogs_domain::ports::{ImportBatch, ImportEvent, ImportProgress};
use dogs_domain::{Dog, DogId};
use kennel_core::{RepoError, Timestamp};
use kennel_storage::postgres::{Postgres, Write, classify};
use sqlx::Row as _;
use uuid::Uuid;

use super::rows::bind_dogs;

pub(super) async fn begin(database: &Postgres, import: &str, now: Timestamp) -> Result<ImportProgress, RepoError> {
    let row = sqlx::query(
        "INSERT INTO imports AS known (key, started_at, lines, digest, used_at)
         VALUES ($1, $2, 0, decode(repeat('00', 32), 'hex'), $2)
         ON CONFLICT (key) DO UPDATE SET used_at = greatest(known.used_at, excluded.used_at)
         RETURNING started_at, lines, digest",
    )
    .bind(import)
    .bind(now.as_millis())
    .fetch_one(database.single())
    .await
    .map_err(classify)?;
    let digest: Vec<u8> = row.try_get("digest").map_err(classify)?;
    let started_at = row.try_get("started_at").map_err(classify)?;
    let lines: i64 = row.try_get("lines").map_err(classify)?;
    Ok(ImportProgress {
        started_at: Timestamp::from_millis(started_at).map_err(RepoError::corrupt)?,
        lines: lines.unsigned_abs(),
        digest: digest.try_into().map_err(|_| RepoError::Corrupt("digest of another length".into()))?,
    })
}

pub(super) async fn store(
    database: &Postgres,
    batch: &ImportBatch,
    event: ImportEvent<'_>,
) -> Result<Vec<DogId>, RepoError> {
    let mut write = database.write().await?;
    if !advance(&mut write, batch).await? {
        return Ok(Vec::new());
    }
    let new = insert_all(&mut write, &batch.dogs).await?;
    if !new.is_empty() {
        let event = event(new.len() as u64).map_err(|error| RepoError::Backend(error.into()))?;
        write.append(&[event]).await?;
    }
    write.commit().await?;
    Ok(existing_ids(&batch.dogs, new))
}

/// Records the progress. Returns false when these lines were already processed.
async fn advance(write: &mut Write, batch: &ImportBatch) -> Result<bool, RepoError> {
    let lines = i64::try_from(batch.lines).map_err(|error| RepoError::Backend(error.into()))?;
    let advanced = sqlx::query(
        "INSERT INTO imports AS known (key, started_at, lines, digest, used_at) VALUES ($1, $2, $3, $4, $2)
         ON CONFLICT (key) DO UPDATE SET
             lines = excluded.lines, digest = excluded.digest, used_at = greatest(known.used_at, excluded.used_at)
         WHERE known.lines < excluded.lines",
    )
    .bind(&batch.import)
    .bind(batch.at.as_millis())
    .bind(lines)
    .bind(&batch.digest[..])
    .execute(write.connection())
    .await
    .map_err(classify)?;
    Ok(advanced.rows_affected() == 1)
}

/// Stores the dogs whose ids do not exist, and returns their ids. Of several with the same id, the first is stored.
async fn insert_all(write: &mut Write, dogs: &[Dog]) -> Result<HashSet<Uuid>, RepoError> {
    let insert = sqlx::query(
        "INSERT INTO dogs
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
                              $8::text[], $9::bigint[], $10::bigint[], $11::bigint[])
         ON CONFLICT (id) DO NOTHING RETURNING id",
    );
    let stored = bind_dogs(insert, dogs)?.fetch_all(write.connection()).await.map_err(classify)?;
    stored.iter().map(|row| row.try_get("id")).collect::<Result<_, _>>().map_err(classify)
}

/// The ids that existed already, including repetitions within the batch.
fn existing_ids(dogs: &[Dog], mut new: HashSet<Uuid>) -> Vec<DogId> {
    dogs.iter().map(|dog| dog.id).filter(|id| !new.remove(&id.0)).collect()
}
