//! Fresh stores and test data.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use auth::repository::{self, MIGRATIONS};
use auth::store::{Account, AccountKind, AuthRepository, Role, Session};
use auth::words::Words;
use kennel_core::{IdSource as _, Timestamp, UuidV7};
use kennel_storage::{Database, StorageConfig};
use prometheus::Registry;
use uuid::Uuid;

/// A migrated store, with the database or folder that is removed when the value is dropped.
pub(crate) struct Store {
    pub(crate) auth: Arc<dyn AuthRepository>,
    pub(crate) database: Database,
    _resource: Box<dyn Any + Send + Sync>,
}

impl Store {
    async fn open(config: &StorageConfig, resource: impl Any + Send + Sync) -> Self {
        let database = kennel_storage::open(config, "auth", &MIGRATIONS, &Registry::new()).await.unwrap();
        database.migrator.up(at(0)).await.unwrap();
        let auth = repository::accounts(&database);
        Self { auth, database, _resource: Box::new(resource) }
    }

    /// Closes the connections of a case.
    pub(crate) async fn close(&self) {
        self.database.close().await;
    }

    /// Adds a user.
    pub(crate) async fn user(&self, name: &str) -> Account {
        let account = account(name);
        self.auth.insert_account(&account).await.unwrap();
        account
    }

    /// Adds a session of a new user.
    pub(crate) async fn session(&self, name: &str) -> Session {
        let session = session(self.user(name).await.id);
        self.auth.insert_session(&session).await.unwrap();
        session
    }

    pub(crate) async fn find(&self, session: &Session) -> Session {
        self.auth.find_session(session.id).await.unwrap().unwrap()
    }
}

#[cfg(feature = "sqlite")]
pub(crate) async fn sqlite() -> Option<Store> {
    let folder = tempfile::tempdir().unwrap();
    Some(Store::open(&StorageConfig::sqlite(folder.path().join("auth.db")), folder).await)
}

#[cfg(feature = "postgres")]
pub(crate) async fn postgres() -> Option<Store> {
    let database = kennel_testkit::TestDatabase::postgres().await?;
    Some(Store::open(&StorageConfig::postgres(database.dsn()), database).await)
}

#[cfg(feature = "mysql")]
pub(crate) async fn mysql() -> Option<Store> {
    let database = kennel_testkit::TestDatabase::mysql().await?;
    Some(Store::open(&StorageConfig::mysql(database.dsn()), database).await)
}

/// A point in time, `seconds` after a fixed one.
pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_007).unwrap().saturating_add(Duration::from_secs(seconds))
}

pub(crate) fn words(text: &str) -> Words {
    text.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

pub(crate) fn role(name: &str, permissions: &str) -> Role {
    Role { name: name.parse().unwrap(), permissions: words(permissions) }
}

pub(crate) fn account(name: &str) -> Account {
    Account {
        id: UuidV7.next(),
        kind: AccountKind::User,
        name: name.parse().unwrap(),
        credential: "hash".into(),
        roles: words("viewer operator"),
        disabled: false,
        epoch: 0,
        created_at: at(0),
        updated_at: at(0),
    }
}

pub(crate) fn session(account: Uuid) -> Session {
    Session {
        id: UuidV7.next(),
        account,
        epoch: 0,
        generation: 1,
        created_at: at(0),
        rotated_at: at(0),
        idle_until: at(100),
        ends_at: at(1_000),
        revoked: false,
    }
}
