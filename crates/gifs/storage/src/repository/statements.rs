//! The statements that all SQL databases understand.

use gifs_contracts::GifId;
use gifs_domain::catalogue::{Gif, GifKey, GifQuery, Rating, Settlement, StateName};
use kennel_core::RepoError;
use kennel_storage::{Columns, Statement, classify};

use super::rows::{json, key, outcome, state};

/// Maximum number of words per statement; below the limit of 32,766 parameters of SQLite.
pub(super) const MAX_WORD_ROWS: usize = 1_000;

const SELECT: &str =
    "SELECT id, provider, provider_id, rating, details, state, facts, refusal, created_at, updated_at FROM gifs";

pub(super) fn by_id<S: Statement>(id: GifId) -> S {
    let mut select = S::new(SELECT);
    select.sql(" WHERE id = ").id(id.0);
    select
}

/// `keys` has at least one key.
pub(super) fn by_keys<S: Statement>(keys: &[&GifKey]) -> S {
    let mut select = S::new(SELECT);
    // Padded with repetitions to a power of two, so that few statements stay prepared, in every database.
    let padded = keys.iter().chain(keys.last().into_iter().cycle()).take(keys.len().next_power_of_two());
    for (index, key) in padded.enumerate() {
        select.sql(if index == 0 { " WHERE (provider = " } else { " OR (provider = " });
        select.text(key.provider.name()).sql(" AND provider_id = ");
        select.text(key.id.as_str()).sql(")");
    }
    select
}

pub(super) fn page<S: Statement>(query: &GifQuery) -> S {
    let mut select = S::new(SELECT);
    select.sql(" WHERE rating <= ").number(query.rating.level().into());
    if let Some(state) = query.state {
        select.sql(" AND state = ").text(state.name());
    }
    if let Some(after) = query.after {
        select.sql(" AND id < ").id(after.0);
    }
    for word in &query.words {
        select.sql(" AND id IN (SELECT gif_id FROM gif_words WHERE word = ").text(word).sql(")");
    }
    select.sql(" ORDER BY id DESC LIMIT ").number(query.limit.into());
    select
}

pub(super) fn insert<S: Statement>(gif: &Gif) -> Result<S, RepoError> {
    let (facts, refusal) = outcome(&gif.state)?;
    let mut insert = S::new(
        "INSERT INTO gifs (id, provider, provider_id, rating, details, state, facts, refusal, created_at, updated_at) VALUES (",
    );
    insert.id(gif.id.0).sql(", ").text(gif.key.provider.name()).sql(", ");
    insert.text(gif.key.id.as_str()).sql(", ").number(gif.rating.level().into()).sql(", ");
    insert.text(&json(&gif.details)?).sql(", ").text(gif.state.name().name()).sql(", ");
    insert.maybe_text(facts).sql(", ").maybe_text(refusal).sql(", ");
    insert.number(gif.created_at.as_millis()).sql(", ").number(gif.updated_at.as_millis()).sql(")");
    Ok(insert)
}

/// Changes a row only if nobody else has asked for the bytes of the GIF.
pub(super) fn start_fetching<S: Statement>(gif: &Gif) -> S {
    let mut update = S::new("UPDATE gifs SET state = ");
    update.text(StateName::Fetching.name()).sql(", updated_at = ");
    update.number(gif.updated_at.as_millis()).sql(" WHERE id = ").id(gif.id.0).sql(" AND state = ");
    update.text(StateName::Known.name());
    update
}

/// Replaces the details of the GIF `id` by those of `gif`.
pub(super) fn replace_details<S: Statement>(id: GifId, gif: &Gif) -> Result<S, RepoError> {
    let mut update = S::new("UPDATE gifs SET details = ");
    update.text(&json(&gif.details)?).sql(", updated_at = ").number(gif.updated_at.as_millis());
    update.sql(" WHERE id = ").id(id.0);
    Ok(update)
}

pub(super) fn delete_words<S: Statement>(id: GifId) -> S {
    let mut delete = S::new("DELETE FROM gif_words WHERE gif_id = ");
    delete.id(id.0);
    delete
}

/// `words` has at least one.
pub(super) fn insert_words<S: Statement>(words: &[(String, GifId)]) -> S {
    let mut insert = S::new("INSERT INTO gif_words (word, gif_id) VALUES ");
    for (index, (word, id)) in words.iter().enumerate() {
        insert.sql(if index == 0 { "(" } else { ", (" }).text(word).sql(", ").id(id.0).sql(")");
    }
    insert
}

/// Changes a row only if its state is not final.
pub(super) fn settle<S: Statement>(settlement: &Settlement) -> Result<S, RepoError> {
    let (facts, refusal) = outcome(&settlement.state)?;
    let mut update = S::new("UPDATE gifs SET state = ");
    update.text(settlement.state.name().name()).sql(", facts = ").maybe_text(facts);
    update.sql(", refusal = ").maybe_text(refusal).sql(", updated_at = ").number(settlement.at.as_millis());
    update.sql(" WHERE id = ").id(settlement.id.0).sql(" AND state IN ('known', 'fetching')");
    Ok(update)
}

/// Reads the GIF in a row of any SQL database.
pub(super) fn read(row: &impl Columns) -> Result<Gif, RepoError> {
    let text = |column| row.text(column).map_err(classify);
    let maybe = |column| row.maybe_text(column).map_err(classify);
    Ok(Gif {
        id: GifId(row.id("id").map_err(classify)?),
        key: key(&text("provider")?, text("provider_id")?)?,
        rating: Rating::from_level(row.number("rating").map_err(classify)?).map_err(RepoError::corrupt)?,
        details: serde_json::from_str(&text("details")?).map_err(RepoError::corrupt)?,
        state: state(&text("state")?, maybe("facts")?.as_deref(), maybe("refusal")?.as_deref())?,
        created_at: row.time("created_at").map_err(classify)?,
        updated_at: row.time("updated_at").map_err(classify)?,
    })
}
