//! Notes in MySQL.

use async_trait::async_trait;
use kennel_core::{Event, RepoError};
use kennel_storage::mysql::{Mysql, classify};

use super::read_note;
use crate::domain::{Note, NoteId, NoteRepository};

/// The notes of a MySQL database.
pub(super) struct MysqlNotes(pub(super) Mysql);

#[async_trait]
impl NoteRepository for MysqlNotes {
    async fn insert(&self, note: &Note, events: &[Event]) -> Result<(), RepoError> {
        let insert = || async {
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
        };
        self.0.run(insert).await
    }

    async fn find(&self, id: NoteId) -> Result<Option<Note>, RepoError> {
        let find = || async {
            let select = sqlx::query("SELECT id, text, created_at FROM notes WHERE id = ?").bind(id.0);
            let row = select.fetch_optional(self.0.pool()).await.map_err(classify)?;
            row.as_ref().map(read_note).transpose()
        };
        self.0.run(find).await
    }

    async fn list(&self, after: Option<NoteId>, limit: u32) -> Result<Vec<Note>, RepoError> {
        let list = || async {
            let select = match after {
                None => sqlx::query("SELECT id, text, created_at FROM notes ORDER BY id DESC LIMIT ?"),
                Some(after) => {
                    sqlx::query("SELECT id, text, created_at FROM notes WHERE id < ? ORDER BY id DESC LIMIT ?")
                        .bind(after.0)
                }
            };
            let rows = select.bind(limit).fetch_all(self.0.pool()).await.map_err(classify)?;
            rows.iter().map(read_note).collect()
        };
        self.0.run(list).await
    }

    async fn delete(&self, id: NoteId) -> Result<bool, RepoError> {
        let delete = || async {
            let delete = sqlx::query("DELETE FROM notes WHERE id = ?").bind(id.0);
            let deleted = delete.execute(self.0.pool()).await.map_err(classify)?;
            Ok(deleted.rows_affected() == 1)
        };
        self.0.run(delete).await
    }
}
