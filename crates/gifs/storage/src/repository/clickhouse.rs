//! GIFs in ClickHouse: records of one table, written through the committer of [`kennel_storage::clickhouse`].

use std::collections::HashSet;

use async_trait::async_trait;
use gifs_contracts::GifId;
use gifs_domain::catalogue::{
    Discovery, Gif, GifKey, GifQuery, GifRepository, GifState, Rating, Settled, Settlement, StateName,
};
use kennel_core::{RepoError, Timestamp};
use kennel_storage::clickhouse::{ClickHouse, RecordKey, RecordKind, Write, receipt};
use serde::{Deserialize, Serialize};

use super::rows::{self, json, outcome};
use super::{MAX_ATTEMPTS, in_order};

const GIF: RecordKind = RecordKind {
    name: "gif",
    columns: "provider, provider_id, rating, details, words, state, facts, refusal, created_at, updated_at",
};
/// The id of the GIF with a key.
const GIF_KEY: RecordKind = RecordKind { name: "gif_key", columns: "gif_id" };

fn gif(id: GifId) -> RecordKey {
    GIF.key(id.to_string())
}

fn gif_key(key: &GifKey) -> RecordKey {
    GIF_KEY.key(format!("{}/{}", key.provider, key.id.as_str()))
}

/// The columns of a GIF, in addition to its key.
#[derive(Serialize, Deserialize)]
struct GifRow {
    provider: String,
    provider_id: String,
    rating: u8,
    details: String,
    words: Vec<String>,
    state: String,
    facts: String,
    refusal: String,
    created_at: i64,
    updated_at: i64,
}

#[derive(Serialize, Deserialize)]
struct GifKeyRow {
    gif_id: GifId,
}

/// A GIF in the result of a query.
#[derive(Deserialize)]
struct ListedRow {
    key: String,
    #[serde(flatten)]
    row: GifRow,
}

fn row(gif: &Gif) -> Result<GifRow, RepoError> {
    let (facts, refusal) = outcome(&gif.state)?;
    Ok(GifRow {
        provider: gif.key.provider.name().to_owned(),
        provider_id: gif.key.id.as_str().to_owned(),
        rating: gif.rating.level(),
        details: json(&gif.details)?,
        words: gif.details.words(),
        state: gif.state.name().name().to_owned(),
        facts: facts.unwrap_or_default(),
        refusal: refusal.unwrap_or_default(),
        created_at: gif.created_at.as_millis(),
        updated_at: gif.updated_at.as_millis(),
    })
}

fn read(id: &str, row: GifRow) -> Result<Gif, RepoError> {
    Ok(Gif {
        id: id.parse().map_err(RepoError::corrupt)?,
        key: rows::key(&row.provider, row.provider_id)?,
        rating: Rating::from_level(row.rating.into()).map_err(RepoError::corrupt)?,
        details: serde_json::from_str(&row.details).map_err(RepoError::corrupt)?,
        state: rows::state(&row.state, Some(&row.facts), Some(&row.refusal))?,
        created_at: Timestamp::from_millis(row.created_at).map_err(RepoError::corrupt)?,
        updated_at: Timestamp::from_millis(row.updated_at).map_err(RepoError::corrupt)?,
    })
}

fn current(write: &Write<'_>, id: GifId) -> Result<Option<Gif>, RepoError> {
    write.get::<GifRow>(&gif(id))?.map(|row| read(&id.to_string(), row)).transpose()
}

/// Adds or changes one GIF; see [`GifRepository::upsert`]. `readable` are the GIFs that the write may read.
fn upsert(write: &mut Write<'_>, given: &Discovery, readable: &HashSet<GifId>) -> Result<(), RepoError> {
    let Discovery { gif: given, event } = given;
    let key = gif_key(&given.key);
    let Some(stored) = write.get::<GifKeyRow>(&key)? else {
        write.put(&key, &GifKeyRow { gif_id: given.id })?;
        write.put(&gif(given.id), &row(given)?)?;
        return write.append(event.as_slice());
    };
    if !readable.contains(&stored.gif_id) {
        // Another call has added the GIF since this one has read its key.
        return Err(RepoError::Conflict);
    }
    let Some(stored) = current(write, stored.gif_id)? else {
        return Err(RepoError::Corrupt("a key leads to no gif".into()));
    };
    let mut changed = stored.clone();
    if event.is_some() && stored.id == given.id && stored.state == GifState::Known {
        changed.state = GifState::Fetching;
        write.append(event.as_slice())?;
    }
    changed.details = given.details.clone();
    if changed == stored {
        return Ok(());
    }
    changed.updated_at = given.updated_at;
    write.put(&gif(stored.id), &row(&changed)?)
}

/// The GIFs of a ClickHouse database.
pub(super) struct ClickHouseGifs(pub(super) ClickHouse);

impl ClickHouseGifs {
    async fn try_upsert(&self, found: &[Discovery], keys: &[GifKey]) -> Result<(), RepoError> {
        let mut ids: HashSet<_> = self.find_by_keys(keys).await?.iter().map(|gif| gif.id).collect();
        ids.extend(found.iter().map(|discovery| discovery.gif.id));
        let reads = keys.iter().map(gif_key).chain(ids.iter().map(|id| gif(*id))).collect();
        let given = found.to_vec();
        self.0.write(reads, move |write| given.iter().try_for_each(|given| upsert(write, given, &ids))).await
    }
}

#[async_trait]
impl GifRepository for ClickHouseGifs {
    async fn upsert(&self, found: &[Discovery]) -> Result<Vec<Gif>, RepoError> {
        let keys: Vec<_> = found.iter().map(|discovery| discovery.gif.key.clone()).collect();
        let mut attempts = 0;
        while let Err(error) = self.try_upsert(found, &keys).await {
            attempts += 1;
            if !matches!(error, RepoError::Conflict) || attempts == MAX_ATTEMPTS {
                return Err(error);
            }
        }
        Ok(in_order(&keys, self.find_by_keys(&keys).await?))
    }

    async fn settle(&self, settlement: &Settlement) -> Result<Settled, RepoError> {
        let given = settlement.clone();
        let reads = vec![receipt(&given.receipt.group, given.receipt.event), gif(given.id)];
        self.0
            .write(reads, move |write| {
                if !write.record(&given.receipt)? {
                    return Ok(Settled::Seen);
                }
                let Some(stored) = current(write, given.id)? else { return Ok(Settled::Unknown) };
                if !stored.state.precedes(&given.state) {
                    return Ok(Settled::Final);
                }
                let changed = Gif { state: given.state.clone(), updated_at: given.at, ..stored };
                write.put(&gif(given.id), &row(&changed)?)?;
                write.append(std::slice::from_ref(&given.event))?;
                Ok(Settled::Changed)
            })
            .await
    }

    async fn find(&self, id: GifId) -> Result<Option<Gif>, RepoError> {
        let found = self.0.find(&[gif(id)]).await?;
        found.values().next().map(|record| read(&record.key, record.read()?)).transpose()
    }

    async fn find_by_keys(&self, keys: &[GifKey]) -> Result<Vec<Gif>, RepoError> {
        let keys: Vec<_> = keys.iter().map(gif_key).collect();
        let found = self.0.find(&keys).await?;
        let ids = found.values().map(|record| Ok(gif(record.read::<GifKeyRow>()?.gif_id)));
        let gifs = self.0.find(&ids.collect::<Result<Vec<_>, RepoError>>()?).await?;
        gifs.values().map(|record| read(&record.key, record.read()?)).collect()
    }

    async fn list(&self, query: &GifQuery) -> Result<Vec<Gif>, RepoError> {
        let state = query.state.map_or("", StateName::name);
        // Ids sort as text in the same order; `g` is above every id.
        let below = query.after.map_or_else(|| "g".to_owned(), |id| id.to_string());
        let sql = format!(
            "SELECT key, {} FROM record_versions FINAL WHERE kind = 'gif' AND key < ? AND rating <= ?
                 AND (? = '' OR state = ?) AND hasAll(words, ?)
             ORDER BY key DESC LIMIT ?",
            GIF.columns
        );
        let select = self.0.query(&sql).bind(below).bind(query.rating.level()).bind(state).bind(state);
        let rows: Vec<ListedRow> = self.0.rows(select.bind(&query.words).bind(query.limit)).await?;
        rows.into_iter().map(|listed| read(&listed.key, listed.row)).collect()
    }
}
