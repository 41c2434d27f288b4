//! Imports: many dogs in one transaction, with few statements.

use std::collections::HashSet;
use std::sync::LazyLock;

use dogs_domain::ports::{ImportBatch, ImportEvent, ImportProgress};
use dogs_domain::{Dog, DogId};
use kennel_core::{RepoError, Timestamp};
use kennel_storage::mysql::{Bulk, MAX_IDS, Mysql, Write, classify, json_array};
use sqlx::Row as _;
use uuid::Uuid;

use super::rows::DogRow;

/// Maximum number of attempts of a batch when concurrent calls insert its ids.
const MAX_ATTEMPTS: u32 = 5;

pub(super) static INSERT: LazyLock<Bulk> = LazyLock::new(|| Bulk::new(insert));

pub(super) fn insert(rows: usize) -> String {
    let row = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    format!("INSERT INTO dogs VALUES {}", vec![row; rows].join(", "))
}

pub(super) async fn begin(database: &Mysql, import: &str, now: Timestamp) -> Result<ImportProgress, RepoError> {
    let mut write = database.write().await?;
    sqlx::query(
        "INSERT INTO imports (`key`, started_at, `lines`, digest, used_at) VALUES (?, ?, 0, REPEAT('\\0', 32), ?)
         ON DUPLICATE KEY UPDATE used_at = GREATEST(used_at, VALUES(used_at))",
    )
    .bind(import.as_bytes())
    .bind(now.as_millis())
    .bind(now.as_millis())
    .execute(write.connection())
    .await
    .map_err(classify)?;
    let row = sqlx::query("SELECT started_at, `lines`, digest FROM imports WHERE `key` = ?")
        .bind(import.as_bytes())
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
    database: &Mysql,
    batch: &ImportBatch,
    event: ImportEvent<'_>,
) -> Result<Vec<DogId>, RepoError> {
    let mut attempt = 1;
    loop {
        match try_store(database, batch, event).await {
            // Another call inserted an id after this one had checked it.
            Err(RepoError::Conflict) if attempt < MAX_ATTEMPTS => attempt += 1,
            result => return result,
        }
    }
}

async fn try_store(database: &Mysql, batch: &ImportBatch, event: ImportEvent<'_>) -> Result<Vec<DogId>, RepoError> {
    let mut write = database.write().await?;
    if !advance(&mut write, batch).await? {
        return Ok(Vec::new());
    }
    let (new, existing) = split_new(&batch.dogs, stored_ids(&mut write, &batch.dogs).await?);
    INSERT.execute(write.connection(), &new).await?;
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
    // Locks the import, so that of one batch several times at once each after the first sees what that one did.
    sqlx::query(
        "INSERT INTO imports (`key`, started_at, `lines`, digest, used_at) VALUES (?, ?, 0, ?, ?)
         ON DUPLICATE KEY UPDATE used_at = used_at",
    )
    .bind(batch.import.as_bytes())
    .bind(batch.at.as_millis())
    .bind(&batch.digest[..])
    .bind(batch.at.as_millis())
    .execute(write.connection())
    .await
    .map_err(classify)?;
    let advanced = sqlx::query(
        "UPDATE imports SET `lines` = ?, digest = ?, used_at = GREATEST(used_at, ?) WHERE `key` = ? AND `lines` < ?",
    )
    .bind(lines)
    .bind(&batch.digest[..])
    .bind(batch.at.as_millis())
    .bind(batch.import.as_bytes())
    .bind(lines)
    .execute(write.connection())
    .await
    .map_err(classify)?;
    Ok(advanced.rows_affected() == 1)
}

/// Which of the dogs' ids exist already.
async fn stored_ids(write: &mut Write, dogs: &[Dog]) -> Result<HashSet<Uuid>, RepoError> {
    let mut found = HashSet::new();
    for dogs in dogs.chunks(MAX_IDS) {
        let stored = sqlx::query_scalar(
            "SELECT dogs.id FROM JSON_TABLE(?, '$[*]' COLUMNS (id CHAR(32) PATH '$')) AS given
             STRAIGHT_JOIN dogs FORCE INDEX (PRIMARY) ON dogs.id = UNHEX(given.id)",
        );
        let stored = stored.bind(json_array(dogs.iter().map(|dog| dog.id.0))?).fetch_all(write.connection());
        let stored: Vec<Uuid> = stored.await.map_err(classify)?;
        found.extend(stored);
    }
    Ok(found)
}

/// Splits the dogs into new ones and the ids of existing ones. Of several with the same id, the first is new.
fn split_new(dogs: &[Dog], mut known: HashSet<Uuid>) -> (Vec<DogRow<'_>>, Vec<DogId>) {
    let (new, old): (Vec<&Dog>, Vec<&Dog>) = dogs.iter().partition(|dog| known.insert(dog.id.0));
    (new.into_iter().map(DogRow).collect(), old.into_iter().map(|dog| dog.id).collect())
}
