//! A copy of another store: a step in one commit.

use std::collections::HashSet;

use async_trait::async_trait;
use dogs_domain::replica::{Bookmark, CopyStep};
use dogs_domain::{Dog, DogId, DogReplica};
use kennel_core::RepoError;
use kennel_storage::clickhouse::{Found, Kind, Place, Write};
use serde::{Deserialize, Serialize};

use super::rows::{breed, corrupt, dog, put, read};
use super::{ClickHouseDogs, current};

const COPY: Kind = Kind { name: "copy", columns: "bookmark" };

/// The columns of a copy.
#[derive(Serialize, Deserialize)]
struct CopyRow {
    bookmark: String,
}

#[async_trait]
impl DogReplica for ClickHouseDogs {
    async fn find_all(&self, ids: &[DogId]) -> Result<Vec<Dog>, RepoError> {
        let places: Vec<_> = ids.iter().copied().map(dog).collect();
        let found = self.0.find(&places).await?;
        found.values().map(|found| read(&found.key, found.read()?)).collect()
    }

    async fn carry(&self, step: &CopyStep) -> Result<(), RepoError> {
        let step = step.clone();
        let ids = step.removed.iter().copied().chain(step.dogs.iter().map(|dog| dog.id));
        let reads: Vec<Place> = ids.map(dog).chain([COPY.at(&step.source)]).collect();
        self.0.write(reads, move |write| carry(write, &step)).await
    }

    async fn bookmark(&self, source: &str) -> Result<Option<Bookmark>, RepoError> {
        let place = COPY.at(source);
        let found = self.0.find(std::slice::from_ref(&place)).await?;
        let row = found.get(&place).map(Found::read::<CopyRow>).transpose()?;
        row.map(|row| serde_json::from_str(&row.bookmark).map_err(corrupt)).transpose()
    }
}

fn carry(write: &mut Write<'_>, step: &CopyStep) -> Result<(), RepoError> {
    let removed: HashSet<_> = step.removed.iter().collect();
    // All is looked at before anything is put: a write looks through what it has put.
    let there = |id| current(write, id);
    let gone: Vec<_> = step.removed.iter().map(|id| there(*id)).collect::<Result<_, _>>()?;
    let before = |given: &Dog| if removed.contains(&given.id) { Ok(None) } else { there(given.id) };
    let before: Vec<_> = step.dogs.iter().map(before).collect::<Result<_, _>>()?;
    for there in gone.iter().flatten() {
        write.remove(&dog(there.id));
        write.remove(&breed(there));
    }
    for (given, there) in step.dogs.iter().zip(&before) {
        let settled = |there: &Dog| there.revision > given.revision || there == given;
        if !there.as_ref().is_some_and(settled) {
            put(write, there.as_ref(), given)?;
        }
    }
    let bookmark = serde_json::to_string(&step.bookmark).map_err(|error| RepoError::Backend(error.into()))?;
    write.put(&COPY.at(&step.source), &CopyRow { bookmark })
}
