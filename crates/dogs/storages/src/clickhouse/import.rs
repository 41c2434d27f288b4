//! Imports: a batch, its progress and its event in one commit.

use std::collections::HashSet;

use dogs_domain::ports::{ImportBatch, ImportEvent, ImportProgress};
use dogs_domain::{Dog, DogId};
use kennel_core::{Event, RepoError, Timestamp};
use kennel_storage::clickhouse::{ClickHouse, Found, Place};
use serde::{Deserialize, Serialize};

use super::rows::{DogRow, IMPORT, digest, digest_text, dog, put, timestamp};

/// How often a batch is begun anew because others stored dogs of its ids meanwhile.
const TRIES: usize = 16;

/// The columns of an import.
#[derive(Serialize, Deserialize)]
struct ImportRow {
    started_at: i64,
    lines: u64,
    digest: String,
    at: i64,
}

impl TryFrom<ImportRow> for ImportProgress {
    type Error = RepoError;

    fn try_from(row: ImportRow) -> Result<Self, Self::Error> {
        Ok(Self { started_at: timestamp(row.started_at)?, lines: row.lines, digest: digest(&row.digest)? })
    }
}

pub(super) async fn begin(database: &ClickHouse, import: &str, now: Timestamp) -> Result<ImportProgress, RepoError> {
    let place = IMPORT.at(import);
    let now = now.as_millis();
    let row = database
        .write(vec![place.clone()], move |write| {
            let there = write.get::<ImportRow>(&place)?;
            let used_before = there.as_ref().map(|row| row.at);
            let fresh = || ImportRow { started_at: now, lines: 0, digest: digest_text(&[0; 32]), at: now };
            let mut row = there.unwrap_or_else(fresh);
            row.at = row.at.max(now);
            if used_before != Some(row.at) {
                write.put(&place, &row)?;
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
    let place = IMPORT.at(&batch.import);
    let progress = database.find(std::slice::from_ref(&place)).await?;
    let progress = progress.get(&place).map(Found::read::<ImportRow>).transpose()?;
    if progress.is_some_and(|row| row.lines >= batch.lines) {
        return Ok(Vec::new());
    }
    // The event is made here, where its maker is, as if no id were taken, which is nearly always so; the commit finds
    // out, and then the event is made again.
    let mut taken = HashSet::new();
    for _ in 0..TRIES {
        let (new, old) = part(&batch.dogs, taken);
        let told = if new.is_empty() {
            None
        } else {
            Some(event(new.len() as u64).map_err(|error| RepoError::Backend(error.into()))?)
        };
        let new = new.into_iter().cloned().collect();
        match commit(database, place.clone(), batch, new, told).await? {
            Committed::Stored => return Ok(old),
            Committed::DealtWith => return Ok(Vec::new()),
            Committed::Outdated => taken = stored_ids(database, batch).await?,
        }
    }
    Err(RepoError::Unavailable("others store dogs of the same ids all the time".into()))
}

/// What became of a batch.
enum Committed {
    Stored,
    DealtWith,
    /// More ids are taken than was thought.
    Outdated,
}

/// Which of the dogs' ids are stored already.
async fn stored_ids(database: &ClickHouse, batch: &ImportBatch) -> Result<HashSet<DogId>, RepoError> {
    let places: Vec<_> = batch.dogs.iter().map(|row| dog(row.id)).collect();
    let found = database.find(&places).await?;
    Ok(batch.dogs.iter().map(|row| row.id).filter(|id| found.contains_key(&dog(*id))).collect())
}

async fn commit(
    database: &ClickHouse,
    import: Place,
    batch: &ImportBatch,
    new: Vec<Dog>,
    told: Option<Event>,
) -> Result<Committed, RepoError> {
    let reads = new.iter().map(|row| dog(row.id)).chain([import.clone()]).collect();
    let (lines, at, text) = (batch.lines, batch.at.as_millis(), digest_text(&batch.digest));
    database
        .write(reads, move |write| {
            let there = write.get::<ImportRow>(&import)?;
            if there.as_ref().is_some_and(|row| row.lines >= lines) {
                return Ok(Committed::DealtWith);
            }
            for row in &new {
                if write.get::<DogRow>(&dog(row.id))?.is_some() {
                    return Ok(Committed::Outdated);
                }
            }
            let (started_at, used) = there.map_or((at, at), |row| (row.started_at, row.at));
            write.put(&import, &ImportRow { started_at, lines, digest: text.clone(), at: used.max(at) })?;
            for row in &new {
                put(write, None, row)?;
            }
            write.append(told.as_slice())?;
            Ok(Committed::Stored)
        })
        .await
}

/// Parts the dogs into new ones and the ids of the others; of several with one id, the first counts.
fn part(dogs: &[Dog], mut taken: HashSet<DogId>) -> (Vec<&Dog>, Vec<DogId>) {
    let (new, old): (Vec<_>, Vec<_>) = dogs.iter().partition(|dog| taken.insert(dog.id));
    (new, old.into_iter().map(|dog| dog.id).collect())
}
