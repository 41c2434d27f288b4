//! Blobs in the SQL databases.

use std::slice;

use async_trait::async_trait;
use gifs_contracts::{GifId, Sha256};
use gifs_domain::media::{Blob, BlobRepository, Outcome, Settling};
use kennel_core::{Event, Receipt, RepoError};
use kennel_storage::{Columns, SqlStore, SqlWrite as _, Statement, Storage, classify};

use super::{columns, from_json, to_json, verdict};

/// The blobs of a SQL database.
pub(super) struct SqlBlobs<S>(pub(super) S);

impl<S: SqlStore> SqlBlobs<S> {
    /// Records the receipt with its answer, and what was decided if that is new.
    async fn try_record(
        &self,
        decided: Option<(&Outcome, Option<&Blob>)>,
        answer: &Event,
        receipt: &Receipt,
    ) -> Result<Settling, RepoError> {
        let mut write = self.0.write().await?;
        if !write.record(receipt).await? {
            return Ok(Settling::Seen);
        }
        if let Some((outcome, blob)) = decided {
            write.execute(insert_outcome(outcome)).await?;
            if let Some(blob) = blob {
                write.execute(insert_blob(blob, S::STORAGE)?).await?;
            }
        }
        write.append(slice::from_ref(answer)).await?;
        write.commit().await?;
        Ok(Settling::Recorded)
    }
}

#[async_trait]
impl<S: SqlStore> BlobRepository for SqlBlobs<S> {
    async fn settle(
        &self,
        outcome: &Outcome,
        blob: Option<&Blob>,
        answer: &Event,
        receipt: &Receipt,
    ) -> Result<Settling, RepoError> {
        self.0.run(|| self.try_record(Some((outcome, blob)), answer, receipt)).await
    }

    async fn answer(&self, answer: &Event, receipt: &Receipt) -> Result<Settling, RepoError> {
        self.0.run(|| self.try_record(None, answer, receipt)).await
    }

    async fn outcome(&self, id: GifId) -> Result<Option<Outcome>, RepoError> {
        Ok(self.0.select(|| outcome(id), read_outcome).await?.pop())
    }

    async fn list_outcomes(&self, before: Option<GifId>, limit: u32) -> Result<Vec<Outcome>, RepoError> {
        self.0.select(|| outcomes(before, limit), read_outcome).await
    }

    async fn find(&self, sha256: &Sha256) -> Result<Option<Blob>, RepoError> {
        Ok(self.0.select(|| blob(sha256), read_blob).await?.pop())
    }

    async fn list(&self, after: Option<&Sha256>, limit: u32) -> Result<Vec<Blob>, RepoError> {
        self.0.select(|| blobs(after, limit), read_blob).await
    }

    async fn urls(&self, sha256: &Sha256, limit: u32) -> Result<Vec<String>, RepoError> {
        self.0.select(|| urls(sha256, limit), |row| row.text("url").map_err(classify)).await
    }
}

const OUTCOMES: &str = "SELECT gif_id, url, sha256, refusal, detail, decided_at FROM outcomes";
const BLOBS: &str = "SELECT blobs.blob FROM blobs";

fn insert_outcome<S: Statement>(outcome: &Outcome) -> S {
    let (sha256, refusal, detail) = columns(&outcome.verdict);
    let mut insert = S::new("INSERT INTO outcomes (gif_id, url, sha256, refusal, detail, decided_at) VALUES (");
    insert.id(outcome.id.0).sql(", ").text(&outcome.url);
    for text in [sha256, refusal, detail] {
        insert.sql(", ").maybe_text(text.map(str::to_owned));
    }
    insert.sql(", ").number(outcome.at.as_millis()).sql(")");
    insert
}

/// Inserts a blob; one that is stored already stays as it is.
fn insert_blob<S: Statement>(blob: &Blob, storage: Storage) -> Result<S, RepoError> {
    let (column, stays) = match storage {
        Storage::Mysql => ("`blob`", " ON DUPLICATE KEY UPDATE sha256 = blobs.sha256"),
        _ => ("blob", " ON CONFLICT (sha256) DO NOTHING"),
    };
    let mut insert = S::new(&format!("INSERT INTO blobs (sha256, {column}, created_at) VALUES ("));
    insert.text(blob.sha256.as_str()).sql(", ").text(&to_json(blob)?).sql(", ");
    insert.number(blob.created_at.as_millis()).sql(")").sql(stays);
    Ok(insert)
}

fn outcome<S: Statement>(id: GifId) -> S {
    let mut select = S::new(OUTCOMES);
    select.sql(" WHERE gif_id = ").id(id.0);
    select
}

fn outcomes<S: Statement>(before: Option<GifId>, limit: u32) -> S {
    let mut select = S::new(OUTCOMES);
    if let Some(before) = before {
        select.sql(" WHERE gif_id < ").id(before.0);
    }
    select.sql(" ORDER BY gif_id DESC LIMIT ").number(limit.into());
    select
}

fn blob<S: Statement>(sha256: &Sha256) -> S {
    let mut select = S::new(BLOBS);
    select.sql(" WHERE sha256 = ").text(sha256.as_str());
    select
}

fn blobs<S: Statement>(after: Option<&Sha256>, limit: u32) -> S {
    let mut select = S::new(BLOBS);
    select.sql(" WHERE sha256 > ").text(after.map_or("", Sha256::as_str));
    select.sql(" ORDER BY sha256 LIMIT ").number(limit.into());
    select
}

fn urls<S: Statement>(sha256: &Sha256, limit: u32) -> S {
    let mut select = S::new("SELECT url FROM outcomes WHERE sha256 = ");
    select.text(sha256.as_str()).sql(" ORDER BY gif_id LIMIT ").number(limit.into());
    select
}

fn read_outcome(row: &impl Columns) -> Result<Outcome, RepoError> {
    let refusal = row.maybe_text("refusal").map_err(classify)?;
    let (sha256, detail) = (row.maybe_text("sha256").map_err(classify)?, row.maybe_text("detail").map_err(classify)?);
    Ok(Outcome {
        id: GifId(row.id("gif_id").map_err(classify)?),
        url: row.text("url").map_err(classify)?,
        verdict: verdict(sha256, refusal.as_deref(), detail)?,
        at: row.time("decided_at").map_err(classify)?,
    })
}

fn read_blob(row: &impl Columns) -> Result<Blob, RepoError> {
    from_json(&row.text("blob").map_err(classify)?)
}
