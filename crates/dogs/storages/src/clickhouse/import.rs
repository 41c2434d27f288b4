//! Imports: a batch, its progress and its event in one commit.

use std::collections::HashSet;

use dogs_domain::ports::{ImportBatch, ImportEvent, ImportProgress};
use dogs_domain::{Dog, DogId};
use kennel_core::{Event, RepoError, Timestamp};
use kennel_storage::clickhouse::{ClickHouse, Record, RecordKey};
use serde::{Deserialize, Serialize};

use super::rows::{DogRow, IMPORT, digest, digest_text, dog, put, timestamp};

/// Maximum number of attempts of a batch when concurrent calls store its ids.
const MAX_ATTEMPTS: usize = 16;

/// The columns of an import.
#[derive(Serialize, Deserialize)]
struct ImportRow {
    started_at: i64,
    lines: u64,
    digest: String,
    recorded_at: i64,
}

impl TryFrom<ImportRow> for ImportProgress {
    type Error = RepoError;

    fn try_from(row: ImportRow) -> Result<Self, Self::Error> {
        Ok(Self { started_at: timestamp(row.started_at)?, lines: row.lines, digest: digest(&row.digest)? })
    }
}

pub(super) async fn begin(database: &ClickHouse, import: &str, now: Timestamp) -> Result<ImportProgress, RepoError> {
    let key = IMPORT.key(import);
    let now = now.as_millis();
    let row = database
        .write(vec![key.clone()], move |write| {
            let stored = write.get::<ImportRow>(&key)?;
            let used_before = stored.as_ref().map(|row| row.recorded_at);
            let fresh = || ImportRow { started_at: now, lines: 0, digest: digest_text(&[0; 32]), recorded_at: now };
            let mut row = stored.unwrap_or_else(fresh);
            row.recorded_at = row.recorded_at.max(now);
            if used_before != Some(row.recorded_at) {
                write.put(&key, &row)?;
            }
            Ok(row)
        })
        .await?;
    row.try_into()
}

pub(super) async fn store(
    database: &ClickHouse,
    batch: &ImportBatch,
    event: ImportEvent<'_>,
) -> Result<Vec<DogId>, RepoError> {
    let key = IMPORT.key(&batch.import);
    let progress = database.find(std::slice::from_ref(&key)).await?;
    let progress = progress.get(&key).map(Record::read::<ImportRow>).transpose()?;
    if progress.is_some_and(|row| row.lines >= batch.lines) {
        return Ok(Vec::new());
    }
    // The event is created here, because the callback cannot move into the write. It assumes that no id exists, which
    // is nearly always true; otherwise the commit returns `Outdated`, and the event is created again.
    let mut existing = HashSet::new();
    for _ in 0..MAX_ATTEMPTS {
        let (new, old) = split_new(&batch.dogs, existing);
        let event_of_batch = if new.is_empty() {
            None
        } else {
            Some(event(new.len() as u64).map_err(|error| RepoError::Backend(error.into()))?)
        };
        let new = new.into_iter().cloned().collect();
        match commit(database, key.clone(), batch, new, event_of_batch).await? {
            Committed::Stored => return Ok(old),
            Committed::AlreadyProcessed => return Ok(Vec::new()),
            Committed::Outdated => existing = stored_ids(database, batch).await?,
        }
    }
    Err(RepoError::Unavailable("concurrent imports of the same ids conflicted too often".into()))
}

/// The result of committing a batch.
enum Committed {
    Stored,
    AlreadyProcessed,
    /// More ids exist than assumed.
    Outdated,
}

/// Which of the dogs' ids exist already.
async fn stored_ids(database: &ClickHouse, batch: &ImportBatch) -> Result<HashSet<DogId>, RepoError> {
    let keys: Vec<_> = batch.dogs.iter().map(|row| dog(row.id)).collect();
    let found = database.find(&keys).await?;
    Ok(batch.dogs.iter().map(|row| row.id).filter(|id| found.contains_key(&dog(*id))).collect())
}

async fn commit(
    database: &ClickHouse,
    import: RecordKey,
    batch: &ImportBatch,
    new: Vec<Dog>,
    event_of_batch: Option<Event>,
) -> Result<Committed, RepoError> {
    let reads = new.iter().map(|row| dog(row.id)).chain([import.clone()]).collect();
    let (lines, at, text) = (batch.lines, batch.at.as_millis(), digest_text(&batch.digest));
    database
        .write(reads, move |write| {
            let stored = write.get::<ImportRow>(&import)?;
            if stored.as_ref().is_some_and(|row| row.lines >= lines) {
                return Ok(Committed::AlreadyProcessed);
            }
            for row in &new {
                if write.get::<DogRow>(&dog(row.id))?.is_some() {
                    return Ok(Committed::Outdated);
                }
            }
            let (started_at, used) = stored.map_or((at, at), |row| (row.started_at, row.recorded_at));
            write.put(&import, &ImportRow { started_at, lines, digest: text.clone(), recorded_at: used.max(at) })?;
            for row in &new {
                put(write, None, row)?;
            }
            write.append(event_of_batch.as_slice())?;
            Ok(Committed::Stored)
        })
        .await
}

/// Splits the dogs into new ones and the ids of existing ones. Of several with the same id, the first is new.
fn split_new(dogs: &[Dog], mut known: HashSet<DogId>) -> (Vec<&Dog>, Vec<DogId>) {
    let (new, old): (Vec<_>, Vec<_>) = dogs.iter().partition(|dog| known.insert(dog.id));
    (new, old.into_iter().map(|dog| dog.id).collect())
}
