//! Notes in every store, and a decorator with spans and metrics.

#[cfg(feature = "clickhouse")]
mod clickhouse;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod sql;

use std::sync::Arc;

use async_trait::async_trait;
use kennel_core::{Event, RepoError};
use kennel_storage::{Database, DatabaseMetrics, Migrations, database_span};

use crate::domain::{Note, NoteId, NoteRepository};

/// The migrations of the schema.
pub const MIGRATIONS: Migrations = kennel_storage::migrations! {
    "../../../migrations/notes", [(2, "0002_notes")];
    #[cfg(feature = "sqlite")]
    sqlite,
    #[cfg(feature = "postgres")]
    postgres,
    #[cfg(feature = "mysql")]
    mysql,
    #[cfg(feature = "clickhouse")]
    clickhouse,
};

/// The notes in `database`, which has the tables of [`MIGRATIONS`]. Calls record metrics and spans.
pub fn notes(database: &Database) -> Arc<dyn NoteRepository> {
    let inner: Arc<dyn NoteRepository> = kennel_storage::adapter! {
        database;
        #[cfg(feature = "sqlite")]
        Sqlite => sql::SqlNotes,
        #[cfg(feature = "postgres")]
        Postgres => sql::SqlNotes,
        #[cfg(feature = "mysql")]
        Mysql => sql::SqlNotes,
        #[cfg(feature = "clickhouse")]
        ClickHouse => clickhouse::ClickHouseNotes,
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
