//! Imports: many dogs in one transaction, with few statements.

use std::collections::HashSet;
use std::sync::LazyLock;

use dogs_domain::ports::{ImportBatch, ImportEvent, ImportProgress};
use dogs_domain::{Dog, DogId};
use kennel_core::{RepoError, Timestamp};
use kennel_storage::sqlite::{Sqlite, Write, classify};
use sqlx::Row as _;
use uuid::Uuid;

use super::rows::bind_dog;

/// Numbers of rows per statement. Only two sizes, so that the statements stay prepared for every batch length.
pub(super) const LARGE_STATEMENT_ROWS: usize = 128;
pub(super) const SMALL_STATEMENT_ROWS: usize = 8;

static INSERT_LARGE: LazyLock<String> = LazyLock::new(|| insert(LARGE_STATEMENT_ROWS));
static INSERT_SMALL: LazyLock<String> = LazyLock::new(|| insert(SMALL_STATEMENT_ROWS));
static INSERT_ONE: LazyLock<String> = LazyLock::new(|| insert(1));

pub(super) fn insert(rows: usize) -> String {
    let row = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    format!("INSERT INTO dogs VALUES {}", vec![row; rows].join(", "))
}

pub(super) async fn begin(database: &Sqlite, import: &str, now: Timestamp) -> Result<ImportProgress, RepoError> {
    let mut write = database.write().await?;
    let row = sqlx::query(
        "INSERT INTO imports (key, started_at, lines, digest, used_at) VALUES (?1, ?2, 0, zeroblob(32), ?2)
         ON CONFLICT (key) DO UPDATE SET used_at = max(used_at, excluded.used_at)
         RETURNING started_at, lines, digest",
    )
    .bind(import)
    .bind(now.as_millis())
    .fetch_one(write.connection())
    .await
    .map_err(classify)?;
    let digest: Vec<u8> = row.try_get("digest").map_err(classify)?;
    let started_at = row.try_get("started_at").map_err(classify)?;
    let lines: i64 = row.try_get("lines").map_err(classify)?;
    let progress = ImportProgress {
        started_at: Timestamp::from_millis(started_at).map_err(RepoError::corrupt)?,
        lines: lines.unsigned_abs(),
        digest: digest.try_into().map_err(|_| RepoError::Corrupt("digest of another length".into()))?,
    };
    write.commit().await?;
    Ok(progress)
}

pub(super) async fn store(
    database: &Sqlite,
    batch: &ImportBatch,
    event: ImportEvent<'_>,
) -> Result<Vec<DogId>, RepoError> {
    let mut write = database.write().await?;
    if !advance(&mut write, batch).await? {
        return Ok(Vec::new());
    }
    let (new, existing) = split_new(&batch.dogs, stored_ids(&mut write, &batch.dogs).await?);
    insert_all(&mut write, &new).await?;
    if !new.is_empty() {
        let event = event(new.len() as u64).map_err(|error| RepoError::Backend(error.into()))?;
        write.append(&[event]).await?;
    }
    write.commit().await?;
    Ok(existing)
}

/// Records the progress. Returns false when these lines were already processed.
async fn advance(write: &mut Write, batch: &ImportBatch) -> Result<bool, RepoError> {
    let lines = i64::try_from(batch.lines).map_err(|error| RepoError::Backend(error.into()))?;
    let advanced = sqlx::query(
        "INSERT INTO imports (key, started_at, lines, digest, used_at) VALUES (?1, ?2, ?3, ?4, ?2)
         ON CONFLICT (key) DO UPDATE SET
             lines = excluded.lines, digest = excluded.digest, used_at = max(used_at, excluded.used_at)
         WHERE imports.lines < excluded.lines",
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

/// Which of the dogs' ids exist already.
async fn stored_ids(write: &mut Write, dogs: &[Dog]) -> Result<HashSet<Uuid>, RepoError> {
    let ids: Vec<_> = dogs.iter().map(|dog| dog.id.0.simple()).collect();
    let ids = serde_json::to_string(&ids).map_err(|error| RepoError::Backend(error.into()))?;
    let found: Vec<(Uuid,)> =
        sqlx::query_as("SELECT dogs.id FROM json_each(?) AS given CROSS JOIN dogs ON dogs.id = unhex(given.value)")
            .bind(ids)
            .fetch_all(write.connection())
            .await
            .map_err(classify)?;
    Ok(found.into_iter().map(|(id,)| id).collect())
}

/// Splits the dogs into new ones and the ids of existing ones. Of several with the same id, the first is new.
fn split_new(dogs: &[Dog], mut known: HashSet<Uuid>) -> (Vec<&Dog>, Vec<DogId>) {
    let (new, old): (Vec<_>, Vec<_>) = dogs.iter().partition(|dog| known.insert(dog.id.0));
    (new, old.into_iter().map(|dog| dog.id).collect())
}

async fn insert_all(write: &mut Write, dogs: &[&Dog]) -> Result<(), RepoError> {
    let large = dogs.chunks_exact(LARGE_STATEMENT_ROWS);
    let small = large.remainder().chunks_exact(SMALL_STATEMENT_ROWS);
    let ones = small.remainder().chunks_exact(1);
    for (chunks, sql) in [(large, &INSERT_LARGE), (small, &INSERT_SMALL), (ones, &INSERT_ONE)] {
        for chunk in chunks {
            let mut insert = sqlx::query(sql.as_str());
            for dog in chunk {
                insert = bind_dog(insert, dog)?;
            }
            insert.execute(write.connection()).await.map_err(classify)?;
        }
    }
    Ok(())
}
