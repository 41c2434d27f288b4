//! The inbox.

use async_trait::async_trait;
use kennel_core::{Inbox, Receipt, RepoError};
use sqlx::MySqlExecutor;
use uuid::Uuid;

use super::{Mysql, classify};

/// Adds a receipt with `executor`, which may be a transaction's connection. False when it was there already.
pub async fn record(executor: impl MySqlExecutor<'_>, receipt: &Receipt) -> Result<bool, RepoError> {
    // Not `INSERT IGNORE`, which would store a group cut short rather than refuse it.
    let recorded = sqlx::query("INSERT INTO inbox (group_name, event, at) VALUES (?, ?, ?)")
        .bind(receipt.group.as_bytes())
        .bind(receipt.event)
        .bind(receipt.at.as_millis())
        .execute(executor)
        .await
        .map_err(classify);
    match recorded {
        Ok(_) => Ok(true),
        Err(RepoError::Conflict) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The inbox of a MySQL database.
#[derive(Debug, Clone)]
pub struct MysqlInbox(Mysql);

impl MysqlInbox {
    /// The inbox in `database`, which has the tables of [`super::EVENTS`].
    pub const fn new(database: Mysql) -> Self {
        Self(database)
    }
}

#[async_trait]
impl Inbox for MysqlInbox {
    async fn seen(&self, group: &str, event: Uuid) -> Result<bool, RepoError> {
        let seen = || async {
            let (seen,) = sqlx::query_as("SELECT EXISTS (SELECT 1 FROM inbox WHERE group_name = ? AND event = ?)")
                .bind(group.as_bytes())
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
