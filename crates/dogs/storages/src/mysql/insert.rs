//! Inserts: any number of dogs, with their events and keys, in one transaction with few statements.

use std::collections::HashMap;
use std::sync::LazyLock;

use dogs_domain::Dog;
use dogs_domain::ports::{IdempotencyKey, Inserted};
use kennel_core::{Event, RepoError};
use kennel_storage::mysql::{Bulk, BulkRow, Mysql, Write, classify};
use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlArguments;
use sqlx::query::Query;

use super::import::INSERT;
use super::rows::DogRow;
use crate::batched::{NewDog, new_dogs};
use crate::rows::earlier_result;

/// Maximum number of events of several dogs per statement, so that it usually fits into one TLS record; see [`Bulk`].
const MAX_EVENTS: usize = 32;

static INSERT_KEYS: LazyLock<Bulk> = LazyLock::new(|| {
    let columns = "idempotency_keys (`key`, fingerprint, snapshot, used_at, uses)";
    let end = " ON DUPLICATE KEY UPDATE used_at = GREATEST(used_at, VALUES(used_at)), uses = uses + 1";
    Bulk::insert(columns, "(?, ?, ?, ?, 1)", end)
});

pub(super) async fn insert_all(database: &Mysql, inserts: &[NewDog<'_>]) -> Result<Vec<Inserted>, RepoError> {
    let mut write = database.write().await?;
    let mut earlier = insert_idempotency_keys(&mut write, inserts).await?;
    let earlier = |insert: &NewDog<'_>| earlier.remove(insert.key?.key.as_bytes());
    let results: Vec<_> = inserts.iter().map(earlier).map(|earlier| earlier.unwrap_or(Inserted::New)).collect();
    let new: Vec<&NewDog<'_>> = new_dogs(inserts, &results).collect();
    let mut dogs: Vec<_> = new.iter().map(|insert| DogRow(insert.dog)).collect();
    // In one order in all transactions, so that two with the same ids do not wait for each other.
    dogs.sort_unstable_by_key(|row| row.0.id);
    INSERT.execute(write.connection(), &dogs).await?;
    append_events(&mut write, &new).await?;
    write.commit().await?;
    Ok(results)
}

/// Appends the events of the dogs, those of each dog in one statement, which gives them consecutive numbers.
async fn append_events(write: &mut Write, mut new: &[&NewDog<'_>]) -> Result<(), RepoError> {
    while !new.is_empty() {
        let (mut events, mut dogs) = (0, 1);
        for (index, insert) in new.iter().enumerate() {
            events += insert.events.len();
            if events > MAX_EVENTS {
                break;
            }
            if Bulk::has_length(events) {
                dogs = index + 1;
            }
        }
        let (now, later) = new.split_at(dogs);
        let events: Vec<&Event> = now.iter().flat_map(|insert| insert.events).collect();
        write.append(&events).await?;
        new = later;
    }
    Ok(())
}

/// A key with the dog that is about to be created.
struct NewKey<'a> {
    key: &'a IdempotencyKey,
    dog: &'a Dog,
    snapshot: String,
}

impl<'a> NewKey<'a> {
    fn new(key: &'a IdempotencyKey, dog: &'a Dog) -> Result<Self, RepoError> {
        let snapshot = serde_json::to_string(dog).map_err(|error| RepoError::Backend(error.into()))?;
        Ok(Self { key, dog, snapshot })
    }
}

impl BulkRow for NewKey<'_> {
    fn size(&self) -> usize {
        self.key.key.len() + self.key.fingerprint.len() + self.snapshot.len()
    }

    fn bind<'q>(
        &'q self,
        query: Query<'q, sqlx::MySql, MySqlArguments>,
    ) -> Result<Query<'q, sqlx::MySql, MySqlArguments>, RepoError> {
        Ok(query
            .bind(self.key.key.as_bytes())
            .bind(&self.key.fingerprint[..])
            .bind(&self.snapshot)
            .bind(self.dog.created_at.as_millis()))
    }
}

/// Inserts the keys with the dogs that are about to be created. Returns the results of earlier requests by their keys,
/// and updates the times of their last use. Concurrent calls with the same key wait here for the first one's
/// transaction.
async fn insert_idempotency_keys(
    write: &mut Write,
    inserts: &[NewDog<'_>],
) -> Result<HashMap<Vec<u8>, Inserted>, RepoError> {
    let given = inserts.iter().filter_map(|insert| Some(NewKey::new(insert.key?, insert.dog)));
    let mut given: Vec<_> = given.collect::<Result<_, _>>()?;
    // In one order in all transactions, so that two with the same keys do not wait for each other.
    given.sort_unstable_by_key(|given| &given.key.key);
    INSERT_KEYS.execute(write.connection(), &given).await?;
    let rows = stored_keys(write, &given).await?;
    let given: HashMap<_, _> = given.iter().map(|given| (given.key.key.as_bytes(), given.key)).collect();
    let mut earlier = HashMap::new();
    for (key, uses, fingerprint, snapshot) in rows {
        if uses > 1 {
            let same = given.get(&key[..]).is_some_and(|given| given.fingerprint[..] == fingerprint);
            earlier.insert(key, earlier_result(same, &snapshot)?);
        }
    }
    Ok(earlier)
}

/// A key as it is stored: the key, the number of its uses, the fingerprint and the snapshot.
type StoredKey = (Vec<u8>, u64, Vec<u8>, String);

async fn stored_keys(write: &mut Write, given: &[NewKey<'_>]) -> Result<Vec<StoredKey>, RepoError> {
    let keys = given.iter().map(|given| given.key.key.as_bytes());
    // Padded with repetitions to a power of two, so that few statements stay prepared.
    let Some(last) = keys.clone().next_back() else { return Ok(Vec::new()) };
    let length = given.len().next_power_of_two();
    let select = format!(
        "SELECT `key`, uses, fingerprint, snapshot FROM idempotency_keys WHERE `key` IN ({})",
        vec!["?"; length].join(", ")
    );
    let mut select = sqlx::query_as(AssertSqlSafe(select));
    for key in keys.chain(std::iter::repeat(last)).take(length) {
        select = select.bind(key);
    }
    select.fetch_all(write.connection()).await.map_err(classify)
}
