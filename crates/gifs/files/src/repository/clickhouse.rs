//! Blobs in ClickHouse: records of one table, written through the committer of [`kennel_storage::clickhouse`].

use std::slice;

use async_trait::async_trait;
use gifs_contracts::{GifId, Sha256};
use gifs_domain::media::{Blob, BlobRepository, Outcome, Settling, Verdict};
use kennel_core::{Event, Receipt, RepoError, Timestamp};
use kennel_storage::clickhouse::{self, ClickHouse, KeyRange, Record, RecordKind};
use serde::{Deserialize, Serialize};

use super::{columns, from_json, to_json, verdict};

const BLOB: RecordKind = RecordKind { name: "blob", columns: "blob" };
const OUTCOME: RecordKind = RecordKind { name: "outcome", columns: "url, sha256, refusal, detail, decided_at" };
/// Finds the GIFs of a blob.
const BLOB_URL: RecordKind = RecordKind { name: "blob_url", columns: "url" };

#[derive(Serialize, Deserialize)]
struct BlobRow {
    blob: String,
}

#[derive(Serialize, Deserialize)]
struct UrlRow {
    url: String,
}

/// The columns of an outcome, in addition to its key. Empty is none.
#[derive(Clone, Serialize, Deserialize)]
struct OutcomeRow {
    url: String,
    sha256: String,
    refusal: String,
    detail: String,
    decided_at: i64,
}

fn read_outcome(record: &Record) -> Result<Outcome, RepoError> {
    let row: OutcomeRow = record.read()?;
    let given = |text: String| (!text.is_empty()).then_some(text);
    let refusal = given(row.refusal);
    Ok(Outcome {
        id: record.key.parse::<GifId>().map_err(RepoError::corrupt)?,
        url: row.url,
        verdict: verdict(given(row.sha256), refusal.as_deref(), given(row.detail))?,
        at: Timestamp::from_millis(row.decided_at).map_err(RepoError::corrupt)?,
    })
}

fn read_blob(record: &Record) -> Result<Blob, RepoError> {
    from_json(&record.read::<BlobRow>()?.blob)
}

/// The blobs of a ClickHouse database.
pub(super) struct ClickHouseBlobs(pub(super) ClickHouse);

#[async_trait]
impl BlobRepository for ClickHouseBlobs {
    async fn settle(
        &self,
        outcome: &Outcome,
        blob: Option<&Blob>,
        answer: &Event,
        receipt: &Receipt,
    ) -> Result<Settling, RepoError> {
        let (answer, receipt) = (answer.clone(), receipt.clone());
        let (sha256, refusal, detail) = columns(&outcome.verdict);
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let row = OutcomeRow {
            url: outcome.url.clone(),
            sha256: text(sha256),
            refusal: text(refusal),
            detail: text(detail),
            decided_at: outcome.at.as_millis(),
        };
        let key = OUTCOME.key(outcome.id.to_string());
        let url = match &outcome.verdict {
            Verdict::Stored(sha256) => Some(BLOB_URL.key(format!("{sha256}/{}", outcome.id))),
            Verdict::Refused { .. } => None,
        };
        let blob_row = |blob: &Blob| Ok((BLOB.key(blob.sha256.as_str()), BlobRow { blob: to_json(blob)? }));
        let blob = blob.map(blob_row).transpose()?;
        let mut reads = vec![key.clone(), clickhouse::receipt(&receipt.group, receipt.event)];
        reads.extend(blob.iter().map(|(key, _)| key.clone()));
        let change = move |write: &mut clickhouse::Write<'_>| {
            if !write.record(&receipt)? {
                return Ok(Settling::Seen);
            }
            if write.get::<OutcomeRow>(&key)?.is_some() {
                return Err(RepoError::Conflict);
            }
            write.put(&key, &row)?;
            if let Some(url) = &url {
                write.put(url, &UrlRow { url: row.url.clone() })?;
            }
            if let Some((key, row)) = &blob
                && write.get::<BlobRow>(key)?.is_none()
            {
                write.put(key, row)?;
            }
            write.append(slice::from_ref(&answer))?;
            Ok(Settling::Recorded)
        };
        self.0.write(reads, change).await
    }

    async fn answer(&self, answer: &Event, receipt: &Receipt) -> Result<Settling, RepoError> {
        let (answer, receipt) = (answer.clone(), receipt.clone());
        let reads = vec![clickhouse::receipt(&receipt.group, receipt.event)];
        let change = move |write: &mut clickhouse::Write<'_>| {
            if !write.record(&receipt)? {
                return Ok(Settling::Seen);
            }
            write.append(slice::from_ref(&answer))?;
            Ok(Settling::Recorded)
        };
        self.0.write(reads, change).await
    }

    async fn outcome(&self, id: GifId) -> Result<Option<Outcome>, RepoError> {
        let found = self.0.find(&[OUTCOME.key(id.to_string())]).await?;
        found.values().next().map(read_outcome).transpose()
    }

    async fn list_outcomes(&self, before: Option<GifId>, limit: u32) -> Result<Vec<Outcome>, RepoError> {
        let below = before.map(|id| id.to_string());
        let range = KeyRange { kind: OUTCOME, above: String::new(), below, descending: true };
        self.0.scan(&range, limit as usize).await?.iter().map(read_outcome).collect()
    }

    async fn find(&self, sha256: &Sha256) -> Result<Option<Blob>, RepoError> {
        let found = self.0.find(&[BLOB.key(sha256.as_str())]).await?;
        found.values().next().map(read_blob).transpose()
    }

    async fn list(&self, after: Option<&Sha256>, limit: u32) -> Result<Vec<Blob>, RepoError> {
        let above = after.map_or("", Sha256::as_str).to_owned();
        let range = KeyRange { kind: BLOB, above, below: None, descending: false };
        self.0.scan(&range, limit as usize).await?.iter().map(read_blob).collect()
    }

    async fn urls(&self, sha256: &Sha256, limit: u32) -> Result<Vec<String>, RepoError> {
        // The character after the slash is a zero.
        let (above, below) = (format!("{sha256}/"), Some(format!("{sha256}0")));
        let range = KeyRange { kind: BLOB_URL, above, below, descending: false };
        let found = self.0.scan(&range, limit as usize).await?;
        found.iter().map(|record| Ok(record.read::<UrlRow>()?.url)).collect()
    }
}
