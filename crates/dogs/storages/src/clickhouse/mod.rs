//! Dogs in ClickHouse: records of one table, written through the committer of [`kennel_storage::clickhouse`].

mod import;
mod replica;
mod rows;

use async_trait::async_trait;
use dogs_domain::ports::{
    Capabilities, DogQuery, IdempotencyKey, ImportBatch, ImportEvent, ImportProgress, Inserted, ThumbnailSet,
};
use dogs_domain::{BreedCount, Dog, DogId, DogImports, DogRepository, DogRetention, Revision};
use kennel_core::{Event, ObjectKey, Order, Receipt, RepoError, Timestamp};
use kennel_storage::clickhouse::{ClickHouse, EVENTS, KeyRange, Write, receipt};
use kennel_storage::{Migration, migration};

use rows::{BREED, CountRow, DOG, DogRow, KeyRow, breed, breed_end, dog, idempotency, put};

/// The migrations of the schema.
pub(crate) const MIGRATIONS: &[Migration] = &[
    EVENTS,
    migration!("../../../../../migrations/dogs/clickhouse", 2, "0002_dogs"),
    migration!("../../../../../migrations/dogs/clickhouse", 3, "0003_copies"),
];

/// The dogs of a ClickHouse database.
///
/// Of several writes that expect the same revision, key or id, exactly one succeeds, also across processes; see
/// [`kennel_storage::clickhouse`] for how this works and its limits.
#[derive(Debug, Clone)]
pub struct ClickHouseDogs(ClickHouse);

impl ClickHouseDogs {
    /// What this store can do.
    pub const CAPABILITIES: Capabilities = Capabilities { unique_ids: true, transactions: false };

    /// The dogs in `database`, which has the tables of [`crate::MIGRATIONS`].
    pub const fn new(database: ClickHouse) -> Self {
        Self(database)
    }

    async fn page(&self, query: &DogQuery) -> Result<Vec<Dog>, RepoError> {
        let (above, below) = bounds(query, String::new(), None, |id| id.to_string());
        let range = KeyRange { kind: DOG, above, below, descending: query.order == Order::Descending };
        let found = self.0.scan(&range, query.limit as usize).await?;
        found.iter().map(|found| rows::read(&found.key, found.read()?)).collect()
    }

    /// Scans the index of the breed, then reads its dogs.
    async fn page_of(&self, name: &str, query: &DogQuery) -> Result<Vec<Dog>, RepoError> {
        let key = |id: DogId| format!("{name}/{id}");
        let (above, below) = bounds(query, format!("{name}/"), Some(breed_end(name)), key);
        let mut range = KeyRange { kind: BREED, above, below, descending: query.order == Order::Descending };
        let limit = query.limit as usize;
        let mut dogs = Vec::new();
        while dogs.len() < limit {
            let remaining = limit - dogs.len();
            let index = self.0.scan(&range, remaining).await?;
            let ids: Vec<_> = index.iter().filter_map(|entry| entry.key.rsplit('/').next()).collect();
            let keys: Vec<_> = ids.iter().map(|id| DOG.key(*id)).collect();
            let found = self.0.find(&keys).await?;
            for dog in keys.iter().filter_map(|key| found.get(key)) {
                let dog = rows::read(&dog.key, dog.read()?)?;
                // The dog may have changed its breed since the index was read.
                dogs.extend(Some(dog).filter(|dog| dog.breed.as_str() == name));
            }
            let Some(last) = index.last().filter(|_| index.len() == remaining) else { break };
            if range.descending { range.below = Some(last.key.clone()) } else { range.above.clone_from(&last.key) }
        }
        Ok(dogs)
    }
}

/// The key bounds of a page: the given bounds, or the key of the dog that the page starts after.
fn bounds(
    query: &DogQuery,
    above: String,
    below: Option<String>,
    key: impl Fn(DogId) -> String,
) -> (String, Option<String>) {
    match (query.after, query.order) {
        (None, _) => (above, below),
        (Some(after), Order::Ascending) => (key(after), below),
        (Some(after), Order::Descending) => (above, Some(key(after))),
    }
}

#[async_trait]
impl DogRepository for ClickHouseDogs {
    async fn insert(&self, given: &Dog, events: &[Event], key: Option<&IdempotencyKey>) -> Result<Inserted, RepoError> {
        let (given, events, key) = (given.clone(), events.to_vec(), key.cloned());
        let mut reads = vec![dog(given.id)];
        reads.extend(key.as_ref().map(|key| idempotency(&key.key)));
        self.0
            .write(reads, move |write| {
                if let Some(key) = &key
                    && let Some(earlier) = earlier_use(write, key, given.created_at)?
                {
                    return Ok(earlier);
                }
                if write.get::<DogRow>(&dog(given.id))?.is_some() {
                    return Err(RepoError::Conflict);
                }
                put(write, None, &given)?;
                if let Some(key) = &key {
                    write.put(&idempotency(&key.key), &KeyRow::new(key, &given)?)?;
                }
                write.append(&events)?;
                Ok(Inserted::New)
            })
            .await
    }

    async fn find(&self, id: DogId) -> Result<Option<Dog>, RepoError> {
        let found = self.0.find(&[dog(id)]).await?;
        found.values().next().map(|found| rows::read(&found.key, found.read()?)).transpose()
    }

    async fn list(&self, query: &DogQuery) -> Result<Vec<Dog>, RepoError> {
        match &query.breed {
            None => self.page(query).await,
            Some(breed) => self.page_of(breed.as_str(), query).await,
        }
    }

    async fn update(&self, given: &Dog, expected: Revision, events: &[Event]) -> Result<bool, RepoError> {
        let (given, events) = (given.clone(), events.to_vec());
        self.0
            .write(vec![dog(given.id)], move |write| {
                let Some(stored) = at_revision(write, given.id, expected)? else {
                    return Ok(false);
                };
                let mut changed = given.clone();
                // Retains a thumbnail that was recorded since the caller read the dog, if the image is the same.
                if let (Some(photo), Some(old)) = (&mut changed.photo, &stored.photo)
                    && photo.thumbnail.is_none()
                    && photo.key == old.key
                {
                    photo.thumbnail.clone_from(&old.thumbnail);
                }
                put(write, Some(&stored), &changed)?;
                write.append(&events)?;
                Ok(true)
            })
            .await
    }

    async fn delete(&self, id: DogId, expected: Revision, events: &[Event]) -> Result<bool, RepoError> {
        let events = events.to_vec();
        self.0
            .write(vec![dog(id)], move |write| {
                let Some(stored) = at_revision(write, id, expected)? else {
                    return Ok(false);
                };
                write.remove(&dog(id));
                write.remove(&breed(&stored));
                write.append(&events)?;
                Ok(true)
            })
            .await
    }

    async fn set_thumbnail(
        &self,
        id: DogId,
        photo: &ObjectKey,
        thumbnail: &ObjectKey,
        given: &Receipt,
        events: &[Event],
    ) -> Result<ThumbnailSet, RepoError> {
        let (photo, thumbnail, given, events) = (photo.clone(), thumbnail.clone(), given.clone(), events.to_vec());
        let reads = vec![dog(id), receipt(&given.group, given.event)];
        self.0
            .write(reads, move |write| {
                if !write.record(&given)? {
                    return Ok(ThumbnailSet::Seen);
                }
                let stored = current(write, id)?;
                let Some(mut stored) = stored.filter(|dog| dog.photo.as_ref().is_some_and(|it| it.key == photo)) else {
                    return Ok(ThumbnailSet::Outdated);
                };
                if let Some(photo) = &mut stored.photo {
                    photo.thumbnail = Some(thumbnail.clone());
                }
                write.put(&dog(id), &DogRow::from(&stored))?;
                write.append(&events)?;
                Ok(ThumbnailSet::Recorded)
            })
            .await
    }

    async fn count_by_breed(&self) -> Result<Vec<BreedCount>, RepoError> {
        // FINAL, because each dog must be counted at its latest version.
        let sql = "SELECT breed, count() AS dogs FROM record_versions FINAL WHERE kind = 'dog'
                   GROUP BY breed ORDER BY breed";
        let counts: Vec<CountRow> = self.0.rows(self.0.query(sql)).await?;
        counts.into_iter().map(BreedCount::try_from).collect()
    }
}

#[async_trait]
impl DogImports for ClickHouseDogs {
    async fn begin_import(&self, import: &str, now: Timestamp) -> Result<ImportProgress, RepoError> {
        import::begin(&self.0, import, now).await
    }

    async fn import(&self, batch: &ImportBatch, event: ImportEvent<'_>) -> Result<Vec<DogId>, RepoError> {
        import::store(&self.0, batch, event).await
    }
}

#[async_trait]
impl DogRetention for ClickHouseDogs {
    async fn purge(&self, before: Timestamp, _: u32) -> Result<u64, RepoError> {
        // Keys and imports that were used again have a later version, which stays.
        let old = format!("kind IN ('idempotency', 'import') AND recorded_at < {}", before.as_millis());
        self.0.purge("record_versions FINAL", &old).await
    }
}

fn current(write: &Write<'_>, id: DogId) -> Result<Option<Dog>, RepoError> {
    let row: Option<DogRow> = write.get(&dog(id))?;
    row.map(|row| rows::read(&id.to_string(), row)).transpose()
}

fn at_revision(write: &Write<'_>, id: DogId, expected: Revision) -> Result<Option<Dog>, RepoError> {
    Ok(current(write, id)?.filter(|dog| dog.revision == expected))
}

/// The result of an earlier request with the key. Updates the time of the key's last use.
fn earlier_use(write: &mut Write<'_>, key: &IdempotencyKey, now: Timestamp) -> Result<Option<Inserted>, RepoError> {
    let record_key = idempotency(&key.key);
    let Some(mut earlier) = write.get::<KeyRow>(&record_key)? else {
        return Ok(None);
    };
    if earlier.recorded_at < now.as_millis() {
        earlier.recorded_at = now.as_millis();
        write.put(&record_key, &earlier)?;
    }
    if !earlier.is_of(key) {
        return Ok(Some(Inserted::KeyReused));
    }
    Ok(Some(Inserted::Replayed(Box::new(earlier.dog()?))))
}
