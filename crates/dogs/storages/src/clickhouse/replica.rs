//! The target of a copy: one commit per step.

use std::collections::HashSet;

use async_trait::async_trait;
use dogs_domain::replica::{Checkpoint, CopyStep};
use dogs_domain::{Dog, DogId, DogReplica};
use kennel_core::RepoError;
use kennel_storage::clickhouse::{Record, RecordKey, RecordKind, Write};
use serde::{Deserialize, Serialize};

use super::rows::{breed, dog, put, read};
use super::{ClickHouseDogs, current};

const COPY: RecordKind = RecordKind { name: "copy", columns: "checkpoint" };

/// The columns of a copy's checkpoint.
#[derive(Serialize, Deserialize)]
struct CopyRow {
    checkpoint: String,
}

#[async_trait]
impl DogReplica for ClickHouseDogs {
    async fn find_all(&self, ids: &[DogId]) -> Result<Vec<Dog>, RepoError> {
        let keys: Vec<_> = ids.iter().copied().map(dog).collect();
        let found = self.0.find(&keys).await?;
        found.values().map(|found| read(&found.key, found.read()?)).collect()
    }

    async fn apply(&self, step: &CopyStep) -> Result<(), RepoError> {
        let step = step.clone();
        let ids = step.removed.iter().copied().chain(step.dogs.iter().map(|dog| dog.id));
        let reads: Vec<RecordKey> = ids.map(dog).chain([COPY.key(&step.source)]).collect();
        self.0.write(reads, move |write| apply(write, &step)).await
    }

    async fn checkpoint(&self, source: &str) -> Result<Option<Checkpoint>, RepoError> {
        let key = COPY.key(source);
        let found = self.0.find(std::slice::from_ref(&key)).await?;
        let row = found.get(&key).map(Record::read::<CopyRow>).transpose()?;
        row.map(|row| serde_json::from_str(&row.checkpoint).map_err(RepoError::corrupt)).transpose()
    }
}

fn apply(write: &mut Write<'_>, step: &CopyStep) -> Result<(), RepoError> {
    let removed: HashSet<_> = step.removed.iter().collect();
    // Reads everything before the first put, because `get` returns what the write itself has put.
    let stored = |id| current(write, id);
    let removed_dogs: Vec<_> = step.removed.iter().map(|id| stored(*id)).collect::<Result<_, _>>()?;
    let before = |given: &Dog| if removed.contains(&given.id) { Ok(None) } else { stored(given.id) };
    let before: Vec<_> = step.dogs.iter().map(before).collect::<Result<_, _>>()?;
    for dog_to_remove in removed_dogs.iter().flatten() {
        write.remove(&dog(dog_to_remove.id));
        write.remove(&breed(dog_to_remove));
    }
    for (given, stored) in step.dogs.iter().zip(&before) {
        let is_current = |stored: &Dog| stored.revision > given.revision || stored == given;
        if !stored.as_ref().is_some_and(is_current) {
            put(write, stored.as_ref(), given)?;
        }
    }
    let checkpoint = serde_json::to_string(&step.checkpoint).map_err(|error| RepoError::Backend(error.into()))?;
    write.put(&COPY.key(&step.source), &CopyRow { checkpoint })
}
