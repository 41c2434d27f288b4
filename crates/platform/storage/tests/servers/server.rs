//! The interface that the cases need.

use std::sync::Arc;

use kennel_config::HumanDuration;
use kennel_core::{DeadLetterSink, DeadLetters, Event, Outbox, RepoError, Timestamp};
use kennel_storage::{Driver, Migration, Migrator, StorageConfig};
use kennel_testkit::TestDatabase;
use uuid::Uuid;

/// A database on a server, and the statements of the cases.
pub(crate) trait Server: Clone + Send + Sync + Sized + 'static {
    /// A transaction.
    type Write: Send;
    /// The migrations of a schema with events and a table `t` of rows `(id, n)`.
    const STEPS: &'static [Migration];
    /// The second migration with different statements.
    const CHANGED: &'static [Migration];
    /// A third migration that fails in its second statement.
    const BROKEN: &'static [Migration];
    /// The third migration, repaired.
    const REPAIRED: &'static [Migration];

    async fn home() -> Option<TestDatabase>;
    async fn open(dsn: String, limits: StorageConfig) -> Result<Self, RepoError>;
    fn database(&self) -> Arc<dyn Driver>;
    fn migrator(&self, steps: &'static [Migration]) -> Arc<dyn Migrator>;
    fn outbox(&self) -> Arc<dyn Outbox>;
    fn dead_letters(&self) -> (Arc<dyn DeadLetterSink>, Arc<dyn DeadLetters>);
    /// The existing tables.
    async fn tables(&self) -> Vec<String>;

    async fn begin(&self) -> Result<Self::Write, RepoError>;
    /// Adds to `n` of a row, which is created when missing.
    async fn add(write: &mut Self::Write, id: i64, n: i64) -> Result<(), RepoError>;
    async fn append(write: &mut Self::Write, events: &[Event]) -> Result<(), RepoError>;
    async fn commit(write: Self::Write) -> Result<(), RepoError>;
    /// `n` of a row, as the transaction sees it.
    async fn get_in(write: &mut Self::Write, id: i64) -> Result<i64, RepoError>;
    /// The `Debug` text.
    fn debug_text(&self) -> String;
    /// `n` of a row, read outside of transactions.
    async fn get(&self, id: i64) -> Result<i64, RepoError>;
    /// [`Server::add`] to two rows, within the database's limits; `pause` comes between the two.
    async fn add_two(&self, first: i64, second: i64, pause: &(dyn Pause + Sync)) -> Result<(), RepoError>;
    /// [`Server::add`] in a transaction of its own, within the database's limits.
    async fn put(&self, id: i64, n: i64) -> Result<(), RepoError>;
    /// Creates a row with a statement outside of transactions, within the database's limits.
    async fn put_alone(&self, id: i64, n: i64) -> Result<(), RepoError>;
    /// Begins a transaction without any statements, within the database's limits.
    async fn begin_only(&self) -> Result<(), RepoError>;
}

/// A pause in the middle of a transaction.
#[async_trait::async_trait]
pub(crate) trait Pause {
    async fn pause(&self);
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_007).unwrap()
}

pub(crate) fn event(number: u128, key: &str) -> Event {
    Event {
        id: Uuid::from_u128(number),
        name: "t.changed".to_owned(),
        source: "/t".to_owned(),
        topic: "t.events".to_owned(),
        key: key.to_owned(),
        time: now(),
        content_type: "application/json".to_owned(),
        data: "{}".into(),
        trace: None,
    }
}

/// Opens the database of a test and creates its tables.
pub(crate) async fn opened<S: Server>(home: &TestDatabase) -> S {
    // Calls may wait long for a connection.
    let pool = StorageConfig { database_acquire_timeout: HumanDuration::from_secs(60), ..StorageConfig::default() };
    let server = S::open(home.dsn(), pool).await.unwrap();
    server.migrator(S::STEPS).up(now()).await.unwrap();
    server
}

pub(crate) async fn commit_events<S: Server>(server: &S, events: &[Event]) {
    let mut write = server.begin().await.unwrap();
    S::append(&mut write, events).await.unwrap();
    S::commit(write).await.unwrap();
}
