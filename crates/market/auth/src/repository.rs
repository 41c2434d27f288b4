//! Accounts in every store that has conditional updates, and a decorator with spans and metrics.

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod sql;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod statements;

use std::sync::Arc;

use async_trait::async_trait;
use kennel_core::{RepoError, Timestamp};
use kennel_storage::{Database, DatabaseMetrics, Migrations, database_span};
use uuid::Uuid;

use crate::store::{Account, AccountChange, AuthRepository, Others, Role, Rotation, Session, StoredKey};
use crate::words::Word;

/// The migrations of the schema.
pub const MIGRATIONS: Migrations = kennel_storage::migrations! {
    "../../../../migrations/market/auth", [(2, "0002_auth")];
    #[cfg(feature = "sqlite")]
    sqlite,
    #[cfg(feature = "postgres")]
    postgres,
    #[cfg(feature = "mysql")]
    mysql,
};

/// Why ClickHouse, which other services of a process may use, is no store of this one.
pub(crate) const NO_CLICKHOUSE: &str = "must be sqlite, postgres or mysql: a refresh token is replaced by a conditional update, which ClickHouse does not have";

/// The accounts in `database`, which has the tables of [`MIGRATIONS`]. Calls record metrics and spans.
pub fn accounts(database: &Database) -> Arc<dyn AuthRepository> {
    let inner: Arc<dyn AuthRepository> = kennel_storage::adapter! {
        database;
        #[cfg(feature = "sqlite")]
        Sqlite => sql::SqlAuth,
        #[cfg(feature = "postgres")]
        Postgres => sql::SqlAuth,
        #[cfg(feature = "mysql")]
        Mysql => sql::SqlAuth,
    };
    Arc::new(InstrumentedAuthRepository { inner, metrics: database.metrics.clone() })
}

/// Decorator that records metrics and a span for every call to an [`AuthRepository`].
struct InstrumentedAuthRepository {
    inner: Arc<dyn AuthRepository>,
    metrics: DatabaseMetrics,
}

#[async_trait]
impl AuthRepository for InstrumentedAuthRepository {
    async fn insert_account(&self, account: &Account) -> Result<(), RepoError> {
        let span =
            database_span!(self.metrics.system(), "auth", "insert_account", "accounts", account.id = %account.id);
        self.metrics.instrument("auth.insert_account", span, self.inner.insert_account(account)).await
    }

    async fn find_account(&self, id: Uuid) -> Result<Option<Account>, RepoError> {
        let span = database_span!(self.metrics.system(), "auth", "find_account", "accounts", account.id = %id);
        self.metrics.instrument("auth.find_account", span, self.inner.find_account(id)).await
    }

    async fn find_account_by_name(&self, name: &Word) -> Result<Option<Account>, RepoError> {
        let span = database_span!(self.metrics.system(), "auth", "find_account_by_name", "accounts");
        self.metrics.instrument("auth.find_account_by_name", span, self.inner.find_account_by_name(name)).await
    }

    async fn list_accounts(&self) -> Result<Vec<Account>, RepoError> {
        let span = database_span!(self.metrics.system(), "auth", "list_accounts", "accounts");
        self.metrics.instrument("auth.list_accounts", span, self.inner.list_accounts()).await
    }

    async fn change_account(&self, id: Uuid, change: &AccountChange, at: Timestamp) -> Result<bool, RepoError> {
        let span = database_span!(self.metrics.system(), "auth", "change_account", "accounts", account.id = %id);
        self.metrics.instrument("auth.change_account", span, self.inner.change_account(id, change, at)).await
    }

    async fn put_role(&self, role: &Role) -> Result<(), RepoError> {
        let span = database_span!(self.metrics.system(), "auth", "put_role", "roles", role = %role.name);
        self.metrics.instrument("auth.put_role", span, self.inner.put_role(role)).await
    }

    async fn list_roles(&self) -> Result<Vec<Role>, RepoError> {
        let span = database_span!(self.metrics.system(), "auth", "list_roles", "roles");
        self.metrics.instrument("auth.list_roles", span, self.inner.list_roles()).await
    }

    async fn insert_session(&self, session: &Session) -> Result<(), RepoError> {
        let span =
            database_span!(self.metrics.system(), "auth", "insert_session", "sessions", session.id = %session.id);
        self.metrics.instrument("auth.insert_session", span, self.inner.insert_session(session)).await
    }

    async fn find_session(&self, id: Uuid) -> Result<Option<Session>, RepoError> {
        let span = database_span!(self.metrics.system(), "auth", "find_session", "sessions", session.id = %id);
        self.metrics.instrument("auth.find_session", span, self.inner.find_session(id)).await
    }

    async fn rotate_session(&self, rotation: &Rotation) -> Result<bool, RepoError> {
        let id = rotation.session;
        let span = database_span!(self.metrics.system(), "auth", "rotate_session", "sessions", session.id = %id);
        self.metrics.instrument("auth.rotate_session", span, self.inner.rotate_session(rotation)).await
    }

    async fn revoke_session(&self, id: Uuid, at: Timestamp) -> Result<bool, RepoError> {
        let span = database_span!(self.metrics.system(), "auth", "revoke_session", "sessions", session.id = %id);
        self.metrics.instrument("auth.revoke_session", span, self.inner.revoke_session(id, at)).await
    }

    async fn delete_sessions(&self, ended_before: Timestamp) -> Result<u64, RepoError> {
        let span = database_span!(self.metrics.system(), "auth", "delete_sessions", "sessions");
        self.metrics.instrument("auth.delete_sessions", span, self.inner.delete_sessions(ended_before)).await
    }

    async fn list_keys(&self) -> Result<Vec<StoredKey>, RepoError> {
        let span = database_span!(self.metrics.system(), "auth", "list_keys", "signing_keys");
        self.metrics.instrument("auth.list_keys", span, self.inner.list_keys()).await
    }

    async fn rotate_keys(&self, key: &StoredKey, others: Others) -> Result<(), RepoError> {
        let span = database_span!(self.metrics.system(), "auth", "rotate_keys", "signing_keys", key.id = key.kid);
        self.metrics.instrument("auth.rotate_keys", span, self.inner.rotate_keys(key, others)).await
    }

    async fn delete_keys(&self, retired_before: Timestamp) -> Result<u64, RepoError> {
        let span = database_span!(self.metrics.system(), "auth", "delete_keys", "signing_keys");
        self.metrics.instrument("auth.delete_keys", span, self.inner.delete_keys(retired_before)).await
    }
}
