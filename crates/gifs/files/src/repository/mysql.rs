//! Blobs in MySQL.

use std::slice;

use async_trait::async_trait;
use gifs_contracts::{GifId, Sha256};
use gifs_domain::media::{Blob, BlobRepository, Outcome, Settling};
use kennel_core::{Event, Receipt, RepoError};
use kennel_storage::mysql::{Mysql, classify};

use super::{columns, read_blob, read_outcome, to_json};

/// The blobs of a MySQL database.
pub(super) struct MysqlBlobs(pub(super) Mysql);

#[async_trait]
impl BlobRepository for MysqlBlobs {
    async fn settle(
        &self,
        outcome: &Outcome,
        blob: Option<&Blob>,
        answer: &Event,
        receipt: &Receipt,
    ) -> Result<Settling, RepoError> {
        let settle = || async {
            let mut write = self.0.write().await?;
            if !write.record(receipt).await? {
                return Ok(Settling::Seen);
            }
            let (sha256, refusal, detail) = columns(&outcome.verdict);
            sqlx::query(
                "INSERT INTO outcomes (gif_id, url, sha256, refusal, detail, decided_at) VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(outcome.id.0)
            .bind(outcome.url.as_str())
            .bind(sha256)
            .bind(refusal)
            .bind(detail)
            .bind(outcome.at.as_millis())
            .execute(write.connection())
            .await
            .map_err(classify)?;
            if let Some(blob) = blob {
                sqlx::query(
                    "INSERT INTO blobs (sha256, `blob`, created_at) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE sha256 = blobs.sha256",
                )
                .bind(blob.sha256.as_str())
                .bind(to_json(blob)?)
                .bind(blob.created_at.as_millis())
                .execute(write.connection())
                .await
                .map_err(classify)?;
            }
            write.append(slice::from_ref(answer)).await?;
            write.commit().await?;
            Ok(Settling::Recorded)
        };
        self.0.run(settle).await
    }

    async fn answer(&self, answer: &Event, receipt: &Receipt) -> Result<Settling, RepoError> {
        let store = || async {
            let mut write = self.0.write().await?;
            if !write.record(receipt).await? {
                return Ok(Settling::Seen);
            }
            write.append(slice::from_ref(answer)).await?;
            write.commit().await?;
            Ok(Settling::Recorded)
        };
        self.0.run(store).await
    }

    async fn outcome(&self, id: GifId) -> Result<Option<Outcome>, RepoError> {
        let find = || async {
            let select =
                sqlx::query("SELECT gif_id, url, sha256, refusal, detail, decided_at FROM outcomes WHERE gif_id = ?");
            let row = select.bind(id.0).fetch_optional(self.0.pool()).await.map_err(classify)?;
            row.as_ref().map(read_outcome).transpose()
        };
        self.0.run(find).await
    }

    async fn find(&self, sha256: &Sha256) -> Result<Option<Blob>, RepoError> {
        let find = || async {
            let select = sqlx::query("SELECT `blob` FROM blobs WHERE sha256 = ?").bind(sha256.as_str());
            let row = select.fetch_optional(self.0.pool()).await.map_err(classify)?;
            row.as_ref().map(read_blob).transpose()
        };
        self.0.run(find).await
    }

    async fn list(&self, after: Option<&Sha256>, limit: u32) -> Result<Vec<Blob>, RepoError> {
        let list = || async {
            let select = sqlx::query("SELECT `blob` FROM blobs WHERE sha256 > ? ORDER BY sha256 LIMIT ?");
            let select = select.bind(after.map_or("", Sha256::as_str)).bind(limit);
            let rows = select.fetch_all(self.0.pool()).await.map_err(classify)?;
            rows.iter().map(read_blob).collect()
        };
        self.0.run(list).await
    }

    async fn urls(&self, sha256: &Sha256, limit: u32) -> Result<Vec<String>, RepoError> {
        let list = || async {
            let select = sqlx::query_scalar("SELECT url FROM outcomes WHERE sha256 = ? ORDER BY gif_id LIMIT ?");
            let select = select.bind(sha256.as_str()).bind(limit);
            select.fetch_all(self.0.pool()).await.map_err(classify)
        };
        self.0.run(list).await
    }
}
