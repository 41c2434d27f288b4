//! Blobs in the SQL databases: one implementation, because they differ only in their drivers and in one statement.

/// Implements the port for `$blobs`, a database of the engine; `$reader` is its executor of single statements.
macro_rules! sql_blobs {
    ($blobs:ident, $database:ty, $engine:ident, $reader:ident) => {
        use std::slice;

        use async_trait::async_trait;
        use gifs_contracts::{GifId, Sha256};
        use gifs_domain::media::{Blob, BlobRepository, Outcome, Settling};
        use kennel_core::{Event, Receipt, RepoError};
        use kennel_storage::$engine::{Write, classify};
        use sqlx::QueryBuilder;

        use super::{columns, read_blob, read_outcome, to_json};

        impl $blobs {
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
                    execute(&mut write, insert_outcome(outcome)).await?;
                    if let Some(blob) = blob {
                        execute(&mut write, insert_blob(blob)?).await?;
                    }
                }
                write.append(slice::from_ref(answer)).await?;
                write.commit().await?;
                Ok(Settling::Recorded)
            }
        }

        fn insert_outcome(outcome: &Outcome) -> QueryBuilder<$database> {
            let (sha256, refusal, detail) = columns(&outcome.verdict);
            let mut insert =
                QueryBuilder::new("INSERT INTO outcomes (gif_id, url, sha256, refusal, detail, decided_at) VALUES (");
            let mut values = insert.separated(", ");
            values.push_bind(outcome.id.0).push_bind(outcome.url.clone()).push_bind(sha256.map(str::to_owned));
            values.push_bind(refusal).push_bind(detail.map(str::to_owned)).push_bind(outcome.at.as_millis());
            insert.push(")");
            insert
        }

        fn insert_blob(blob: &Blob) -> Result<QueryBuilder<$database>, RepoError> {
            let [head, tail] = INSERT_BLOB;
            let mut insert = QueryBuilder::new(head);
            let mut values = insert.separated(", ");
            values.push_bind(blob.sha256.as_str().to_owned()).push_bind(to_json(blob)?);
            values.push_bind(blob.created_at.as_millis());
            insert.push(tail);
            Ok(insert)
        }

        async fn execute(write: &mut Write, mut statement: QueryBuilder<$database>) -> Result<(), RepoError> {
            statement.build().execute(write.connection()).await.map(drop).map_err(classify)
        }

        #[async_trait]
        impl BlobRepository for $blobs {
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
                let find = || async {
                    let mut select = QueryBuilder::<$database>::new(
                        "SELECT gif_id, url, sha256, refusal, detail, decided_at FROM outcomes WHERE gif_id = ",
                    );
                    select.push_bind(id.0);
                    let row = select.build().fetch_optional(self.0.$reader()).await.map_err(classify)?;
                    row.as_ref().map(read_outcome).transpose()
                };
                self.0.run(find).await
            }

            async fn list_outcomes(&self, before: Option<GifId>, limit: u32) -> Result<Vec<Outcome>, RepoError> {
                let list = || async {
                    let mut select = QueryBuilder::<$database>::new(
                        "SELECT gif_id, url, sha256, refusal, detail, decided_at FROM outcomes",
                    );
                    if let Some(before) = before {
                        select.push(" WHERE gif_id < ").push_bind(before.0);
                    }
                    select.push(" ORDER BY gif_id DESC LIMIT ").push_bind(i64::from(limit));
                    let rows = select.build().fetch_all(self.0.$reader()).await.map_err(classify)?;
                    rows.iter().map(read_outcome).collect()
                };
                self.0.run(list).await
            }

            async fn find(&self, sha256: &Sha256) -> Result<Option<Blob>, RepoError> {
                let find = || async {
                    let mut select = QueryBuilder::<$database>::new("SELECT blobs.blob FROM blobs WHERE sha256 = ");
                    select.push_bind(sha256.as_str());
                    let row = select.build().fetch_optional(self.0.$reader()).await.map_err(classify)?;
                    row.as_ref().map(read_blob).transpose()
                };
                self.0.run(find).await
            }

            async fn list(&self, after: Option<&Sha256>, limit: u32) -> Result<Vec<Blob>, RepoError> {
                let list = || async {
                    let mut select = QueryBuilder::<$database>::new("SELECT blobs.blob FROM blobs WHERE sha256 > ");
                    select.push_bind(after.map_or("", Sha256::as_str)).push(" ORDER BY sha256 LIMIT ");
                    select.push_bind(i64::from(limit));
                    let rows = select.build().fetch_all(self.0.$reader()).await.map_err(classify)?;
                    rows.iter().map(read_blob).collect()
                };
                self.0.run(list).await
            }

            async fn urls(&self, sha256: &Sha256, limit: u32) -> Result<Vec<String>, RepoError> {
                let list = || async {
                    let mut select = QueryBuilder::<$database>::new("SELECT url FROM outcomes WHERE sha256 = ");
                    select.push_bind(sha256.as_str()).push(" ORDER BY gif_id LIMIT ").push_bind(i64::from(limit));
                    select.build_query_scalar().fetch_all(self.0.$reader()).await.map_err(classify)
                };
                self.0.run(list).await
            }
        }
    };
}
pub(super) use sql_blobs;
