//! Databases that reject writes for a while, as during a failover: reads continue, `writable` fails, and writes succeed
//! again as soon as the database accepts them, also over connections that would otherwise stay read-only.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg_attr(
    not(any(feature = "postgres", feature = "mysql")),
    allow(dead_code, clippy::allow_attributes, reason = "fewer stores use fewer of the shared functions")
)]

#[cfg(feature = "clickhouse")]
mod clickhouse;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use kennel_core::{IdSource as _, Inbox, Receipt, RepoError, Timestamp, UuidV7};
use kennel_storage::{Driver, Migrator};
use tokio::time::{Instant, sleep};

/// How long writes may fail after the database accepts them again.
const MAX_RECOVERY: Duration = Duration::from_secs(1);

fn now() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_007).unwrap()
}

/// An open database, and something to write into it.
struct Store {
    database: Arc<dyn Driver>,
    inbox: Arc<dyn Inbox>,
}

impl Store {
    async fn new(database: impl Driver, inbox: impl Inbox, migrator: impl Migrator) -> Self {
        migrator.up(now()).await.unwrap();
        Self { database: Arc::new(database), inbox: Arc::new(inbox) }
    }

    async fn write(&self) -> Result<(), RepoError> {
        let receipt = Receipt { group: "g".to_owned(), event: UuidV7.next(), at: now() };
        self.inbox.record(&receipt).await.map(|recorded| assert!(recorded))
    }

    async fn accepts_writes(&self) {
        self.write().await.unwrap();
        self.database.writable().await.unwrap();
    }

    async fn rejects_writes(&self) {
        for _ in 0..3 {
            unavailable(&self.write().await);
            unavailable(&self.database.writable().await);
        }
        self.database.ping().await.unwrap();
        assert!(!self.inbox.seen("g", UuidV7.next()).await.unwrap());
    }

    /// Runs writes one after the other; returns the number of failed ones.
    async fn failures(&self, writes: u32) -> u32 {
        let mut failures = 0;
        for _ in 0..writes {
            let written = self.write().await;
            if written.is_err() {
                unavailable(&written);
                failures += 1;
            }
        }
        failures
    }

    async fn soon_accepts_writes(&self) {
        let started = Instant::now();
        while let Err(error) = self.write().await {
            assert!(started.elapsed() < MAX_RECOVERY, "{error:?}");
            sleep(Duration::from_millis(20)).await;
        }
        self.database.writable().await.unwrap();
    }
}

#[track_caller]
fn unavailable(result: &Result<(), RepoError>) {
    assert!(matches!(result, Err(RepoError::Unavailable(_))), "{result:?}");
}
