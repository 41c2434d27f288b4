//! Accounts in the SQL databases.

use async_trait::async_trait;
use kennel_core::{RepoError, Timestamp};
use kennel_storage::{SqlStore, SqlWrite as _};
use uuid::Uuid;

use super::statements;
use crate::store::{Account, AccountChange, AuthRepository, Others, Role, Rotation, Session, StoredKey};
use crate::words::Word;

/// The accounts of a SQL database.
pub(super) struct SqlAuth<S>(pub(super) S);

impl<S: SqlStore> SqlAuth<S> {
    /// Executes the statements in one transaction. Returns the number of rows that the first one changed; if it is none, the
    /// others are not executed.
    async fn change(&self, statements: impl Fn() -> Vec<S::Statement> + Send + Sync) -> Result<u64, RepoError> {
        let change = || async {
            let mut write = self.0.write().await?;
            let mut first = None;
            for statement in statements() {
                let changed = write.execute(statement).await?;
                if *first.get_or_insert(changed) == 0 {
                    break;
                }
            }
            write.commit().await?;
            Ok(first.unwrap_or_default())
        };
        self.0.run(change).await
    }
}

#[async_trait]
impl<S: SqlStore> AuthRepository for SqlAuth<S> {
    async fn insert_account(&self, account: &Account) -> Result<(), RepoError> {
        self.change(|| vec![statements::insert_account(account)]).await.map(drop)
    }

    async fn find_account(&self, id: Uuid) -> Result<Option<Account>, RepoError> {
        Ok(self.0.select(|| statements::account_by_id(id), statements::read_account).await?.pop())
    }

    async fn find_account_by_name(&self, name: &Word) -> Result<Option<Account>, RepoError> {
        Ok(self.0.select(|| statements::account_by_name(name), statements::read_account).await?.pop())
    }

    async fn list_accounts(&self) -> Result<Vec<Account>, RepoError> {
        self.0.select(statements::accounts, statements::read_account).await
    }

    async fn change_account(&self, id: Uuid, change: &AccountChange, at: Timestamp) -> Result<bool, RepoError> {
        let statements = || {
            let mut list = vec![statements::change_account(id, change, at)];
            list.extend(change.ends_sessions().then(|| statements::revoke_sessions(id, at)));
            list
        };
        Ok(self.change(statements).await? == 1)
    }

    async fn put_role(&self, role: &Role) -> Result<(), RepoError> {
        let put = || async {
            let mut write = self.0.write().await?;
            write.execute(statements::delete_role(&role.name)).await?;
            write.execute(statements::insert_role(role)).await?;
            write.commit().await
        };
        self.0.run(put).await
    }

    async fn list_roles(&self) -> Result<Vec<Role>, RepoError> {
        self.0.select(statements::roles, statements::read_role).await
    }

    async fn insert_session(&self, session: &Session) -> Result<(), RepoError> {
        self.change(|| vec![statements::insert_session(session)]).await.map(drop)
    }

    async fn find_session(&self, id: Uuid) -> Result<Option<Session>, RepoError> {
        Ok(self.0.select(|| statements::session_by_id(id), statements::read_session).await?.pop())
    }

    async fn rotate_session(&self, rotation: &Rotation) -> Result<bool, RepoError> {
        Ok(self.change(|| vec![statements::rotate_session(rotation)]).await? == 1)
    }

    async fn revoke_session(&self, id: Uuid, at: Timestamp) -> Result<bool, RepoError> {
        Ok(self.change(|| vec![statements::revoke_session(id, at)]).await? == 1)
    }

    async fn delete_sessions(&self, ended_before: Timestamp) -> Result<u64, RepoError> {
        self.change(|| vec![statements::delete_sessions(ended_before)]).await
    }

    async fn list_keys(&self) -> Result<Vec<StoredKey>, RepoError> {
        self.0.select(statements::keys, statements::read_key).await
    }

    async fn rotate_keys(&self, key: &StoredKey, others: Others) -> Result<(), RepoError> {
        let rotate = || async {
            let mut write = self.0.write().await?;
            write.execute(statements::replace_keys(others, key.created_at)).await?;
            write.execute(statements::insert_key(key)).await?;
            write.commit().await
        };
        self.0.run(rotate).await
    }

    async fn delete_keys(&self, retired_before: Timestamp) -> Result<u64, RepoError> {
        self.change(|| vec![statements::delete_keys(retired_before)]).await
    }
}
