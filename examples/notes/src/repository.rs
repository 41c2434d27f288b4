//! Notes in every store: one file per store, and a decorator with spans and metrics.

#[cfg(feature = "clickhouse")]
mod clickhouse;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use kennel_core::{Event, RepoError};
use kennel_storage::{Database, DatabaseMetrics, Engine, Migrations, database_span, migration};

use crate::domain::{Note, NoteId, NoteRepository};

/// The migrations of the schema.
#[expect(clippy::allow_attributes, reason = "whether a store is left out depends on the features")]
#[allow(clippy::needless_update)]
pub const MIGRATIONS: Migrations = Migrations {
    #[cfg(feature = "sqlite")]
    sqlite: &[kennel_storage::sqlite::EVENTS, migration!("../../../migrations/notes/sqlite", 2, "0002_notes")],
    #[cfg(feature = "postgres")]
    postgres: &[kennel_storage::postgres::EVENTS, migration!("../../../migrations/notes/postgres", 2, "0002_notes")],
    #[cfg(feature = "mysql")]
    mysql: &[kennel_storage::mysql::EVENTS, migration!("../../../migrations/notes/mysql", 2, "0002_notes")],
    #[cfg(feature = "clickhouse")]
    clickhouse: &[
        kennel_storage::clickhouse::EVENTS,
        migration!("../../../migrations/notes/clickhouse", 2, "0002_notes"),
    ],
    ..Migrations::NONE
};

/// The notes in `database`, which has the tables of [`MIGRATIONS`]. Calls record metrics and spans.
pub fn notes(database: &Database) -> Arc<dyn NoteRepository> {
    let inner: Arc<dyn NoteRepository> = match &database.engine {
        #[cfg(feature = "sqlite")]
        Engine::Sqlite(engine) => Arc::new(sqlite::SqliteNotes(engine.clone())),
        #[cfg(feature = "postgres")]
        Engine::Postgres(engine) => Arc::new(postgres::PostgresNotes(engine.clone())),
        #[cfg(feature = "mysql")]
        Engine::Mysql(engine) => Arc::new(mysql::MysqlNotes(engine.clone())),
        #[cfg(feature = "clickhouse")]
        Engine::ClickHouse(engine) => Arc::new(clickhouse::ClickHouseNotes(engine.clone())),
        #[expect(clippy::allow_attributes, reason = "whether there is another one depends on the features")]
        #[allow(unreachable_patterns)]
        _ => unreachable!("the build of this crate has the same stores as the platform's"),
    };
    Arc::new(InstrumentedNoteRepository { inner, metrics: database.metrics.clone() })
}

/// Decorator that records metrics and a span for every call to a [`NoteRepository`].
struct InstrumentedNoteRepository {
    inner: Arc<dyn NoteRepository>,
    metrics: DatabaseMetrics,
}

#[async_trait]
impl NoteRepository for InstrumentedNoteRepository {
    async fn insert(&self, note: &Note, events: &[Event]) -> Result<(), RepoError> {
        let span = database_span!(self.metrics.system(), "notes", "insert", "notes", note.id = %note.id);
        self.metrics.instrument("notes.insert", span, self.inner.insert(note, events)).await
    }

    async fn find(&self, id: NoteId) -> Result<Option<Note>, RepoError> {
        let span = database_span!(self.metrics.system(), "notes", "find", "notes", note.id = %id);
        self.metrics.instrument("notes.find", span, self.inner.find(id)).await
    }

    async fn list(&self, after: Option<NoteId>, limit: u32) -> Result<Vec<Note>, RepoError> {
        let span = database_span!(self.metrics.system(), "notes", "list", "notes", page.limit = limit);
        self.metrics.instrument("notes.list", span, self.inner.list(after, limit)).await
    }

    async fn delete(&self, id: NoteId) -> Result<bool, RepoError> {
        let span = database_span!(self.metrics.system(), "notes", "delete", "notes", note.id = %id);
        self.metrics.instrument("notes.delete", span, self.inner.delete(id)).await
    }
}

/// Reads the note in a row of any SQL database.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
fn read_note(row: &impl kennel_storage::Columns) -> Result<Note, RepoError> {
    use kennel_storage::classify;

    Ok(Note {
        id: NoteId(row.id("id").map_err(classify)?),
        text: row.text("text").map_err(classify)?.try_into().map_err(RepoError::corrupt)?,
        created_at: row.time("created_at").map_err(classify)?,
    })
}
