//! Inserts: any number of dogs, with their events and keys, with one statement, or with keys in one transaction.

use std::collections::HashMap;
use std::sync::LazyLock;

use dogs_domain::Dog;
use dogs_domain::ports::{IdempotencyKey, Inserted};
use kennel_core::{Event, RepoError};
use kennel_storage::postgres::{Postgres, Write, bind_events, classify, with_events};
use sqlx::SqlStr;

use super::rows::bind_dogs;
use crate::batched::{NewDog, new_dogs};
use crate::rows::earlier_result;

const INSERT: &str = "INSERT INTO dogs
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
                         $8::text[], $9::bigint[], $10::bigint[], $11::bigint[])";
static INSERT_WITH_EVENTS: LazyLock<SqlStr> = LazyLock::new(|| with_events(INSERT, 11));

pub(super) async fn insert_all(database: &Postgres, inserts: &[NewDog<'_>]) -> Result<Vec<Inserted>, RepoError> {
    if inserts.iter().all(|insert| insert.key.is_none()) {
        let dogs = sorted(inserts.iter().map(|insert| insert.dog));
        let events: Vec<&Event> = inserts.iter().flat_map(|insert| insert.events).collect();
        let insert = bind_dogs(sqlx::query(INSERT_WITH_EVENTS.clone()), &dogs)?;
        database.execute_with_events(bind_events(insert, &events)).await?;
        return Ok(vec![Inserted::New; inserts.len()]);
    }
    let mut write = database.write().await?;
    let mut earlier = insert_idempotency_keys(&mut write, inserts).await?;
    let earlier = |insert: &NewDog<'_>| earlier.remove(insert.key?.key.as_str());
    let results: Vec<_> = inserts.iter().map(earlier).map(|earlier| earlier.unwrap_or(Inserted::New)).collect();
    let new: Vec<&NewDog<'_>> = new_dogs(inserts, &results).collect();
    insert_dogs(&mut write, &sorted(new.iter().map(|insert| insert.dog))).await?;
    let events: Vec<&Event> = new.iter().flat_map(|insert| insert.events).collect();
    write.append(&events).await?;
    write.commit().await?;
    Ok(results)
}

/// In one order in all transactions, so that two with the same ids do not wait for each other.
fn sorted<'a>(dogs: impl Iterator<Item = &'a Dog>) -> Vec<&'a Dog> {
    let mut dogs: Vec<&Dog> = dogs.collect();
    dogs.sort_unstable_by_key(|dog| dog.id);
    dogs
}

async fn insert_dogs(write: &mut Write, dogs: &[&Dog]) -> Result<(), RepoError> {
    if !dogs.is_empty() {
        bind_dogs(sqlx::query(INSERT), dogs)?.execute(write.connection()).await.map_err(classify)?;
    }
    Ok(())
}

/// Inserts the keys with the dogs that are about to be created. Returns the results of earlier requests by their keys,
/// and updates the times of their last use. Concurrent calls with the same key wait here for the first one's
/// transaction.
async fn insert_idempotency_keys(
    write: &mut Write,
    inserts: &[NewDog<'_>],
) -> Result<HashMap<String, Inserted>, RepoError> {
    let mut given: Vec<(&IdempotencyKey, &Dog)> =
        inserts.iter().filter_map(|insert| Some((insert.key?, insert.dog))).collect();
    if given.is_empty() {
        return Ok(HashMap::new());
    }
    // In one order in all transactions, so that two with the same keys do not wait for each other.
    given.sort_unstable_by_key(|(key, _)| &key.key);
    let snapshots: Result<Vec<_>, _> = given.iter().map(|(_, dog)| serde_json::to_string(dog)).collect();
    let rows: Vec<(String, bool, Vec<u8>, String)> = sqlx::query_as(
        "INSERT INTO idempotency_keys AS stored (key, fingerprint, snapshot, used_at)
         SELECT * FROM unnest($1::text[], $2::bytea[], $3::text[], $4::bigint[])
         ON CONFLICT (key) DO UPDATE SET used_at = greatest(stored.used_at, excluded.used_at)
         RETURNING key, xmax = 0, fingerprint, snapshot",
    )
    .bind(given.iter().map(|(key, _)| key.key.as_str()).collect::<Vec<_>>())
    .bind(given.iter().map(|(key, _)| &key.fingerprint[..]).collect::<Vec<_>>())
    .bind(snapshots.map_err(|error| RepoError::Backend(error.into()))?)
    .bind(given.iter().map(|(_, dog)| dog.created_at.as_millis()).collect::<Vec<_>>())
    .fetch_all(write.connection())
    .await
    .map_err(classify)?;
    let given: HashMap<_, _> = given.into_iter().map(|(key, _)| (key.key.as_str(), key)).collect();
    let mut earlier = HashMap::new();
    for (key, inserted, fingerprint, snapshot) in rows {
        // `xmax` is 0 only for a row that this statement inserted.
        if !inserted {
            let same = given.get(key.as_str()).is_some_and(|given| given.fingerprint[..] == fingerprint);
            earlier.insert(key, earlier_result(same, &snapshot)?);
        }
    }
    Ok(earlier)
}
