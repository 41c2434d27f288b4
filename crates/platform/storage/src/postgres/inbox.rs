//! The inbox.

use async_trait::async_trait;
use kennel_core::{Inbox, Receipt, RepoError};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{Postgres, classify};

/// Adds a receipt with `executor`, which may be a transaction's connection. False when it was there already.
pub async fn record(executor: impl PgExecutor<'_>, receipt: &Receipt) -> Result<bool, RepoError> {
    let recorded = sqlx::query("INSERT INTO inbox (group_name, event, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(&receipt.group)
        .bind(receipt.event)
        .bind(receipt.at.as_millis())
        .execute(executor)
        .await
        .map_err(classify)?;
    Ok(recorded.rows_affected() == 1)
}

/// The inbox of a `PostgreSQL` database.
#[derive(Debug, Clone)]
pub struct PostgresInbox(Postgres);

impl PostgresInbox {
    /// The inbox in `database`, which has the tables of [`super::EVENTS`].
    pub const fn new(database: Postgres) -> Self {
        Self(database)
    }
}

#[async_trait]
impl Inbox for PostgresInbox {
    async fn seen(&self, group: &str, event: Uuid) -> Result<bool, RepoError> {
        let seen = || async {
            let (seen,) = sqlx::query_as("SELECT EXISTS (SELECT 1 FROM inbox WHERE group_name = $1 AND event = $2)")
                .bind(group)
                .bind(event)
                .fetch_one(self.0.pool())
                .await
                .map_err(classify)?;
            Ok(seen)
        };
        self.0.run(seen).await
    }

    async fn record(&self, receipt: &Receipt) -> Result<bool, RepoError> {
        self.0.run(|| record(self.0.pool(), receipt)).await
    }
}
