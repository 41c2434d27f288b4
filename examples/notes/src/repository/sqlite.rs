//! Notes in SQLite.

use async_trait::async_trait;
use kennel_core::{Event, RepoError};
use kennel_storage::sqlite::{Sqlite, classify};

use super::read_note;
use crate::domain::{Note, NoteId, NoteRepository};

/// The notes of a SQLite database.
pub(super) struct SqliteNotes(pub(super) Sqlite);

#[async_trait]
impl NoteRepository for SqliteNotes {
    async fn insert(&self, note: &Note, events: &[Event]) -> Result<(), RepoError> {
        let mut write = self.0.write().await?;
        sqlx::query("INSERT INTO notes (id, text, created_at) VALUES (?, ?, ?)")
            .bind(note.id.0)
            .bind(note.text.as_str())
            .bind(note.created_at.as_millis())
            .execute(write.connection())
            .await
            .map_err(classify)?;
        write.append(events).await?;
        write.commit().await
    }

    async fn find(&self, id: NoteId) -> Result<Option<Note>, RepoError> {
        let select = sqlx::query("SELECT id, text, created_at FROM notes WHERE id = ?").bind(id.0);
        let row = select.fetch_optional(self.0.readers()).await.map_err(classify)?;
        row.as_ref().map(read_note).transpose()
    }

    async fn list(&self, after: Option<NoteId>, limit: u32) -> Result<Vec<Note>, RepoError> {
        let select = match after {
            None => sqlx::query("SELECT id, text, created_at FROM notes ORDER BY id DESC LIMIT ?"),
            Some(after) => sqlx::query("SELECT id, text, created_at FROM notes WHERE id < ? ORDER BY id DESC LIMIT ?")
                .bind(after.0),
        };
        let rows = select.bind(limit).fetch_all(self.0.readers()).await.map_err(classify)?;
        rows.iter().map(read_note).collect()
    }

    async fn delete(&self, id: NoteId) -> Result<bool, RepoError> {
        let mut write = self.0.write().await?;
        let delete = sqlx::query("DELETE FROM notes WHERE id = ?").bind(id.0);
        let deleted = delete.execute(write.connection()).await.map_err(classify)?;
        write.commit().await?;
        Ok(deleted.rows_affected() == 1)
    }
}
