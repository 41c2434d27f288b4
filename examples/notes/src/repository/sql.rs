//! Notes in the SQL databases, which differ only in their drivers.

use async_trait::async_trait;
use kennel_core::{Event, RepoError};
use kennel_storage::{Columns, SqlStore, SqlWrite as _, Statement, classify};

use crate::domain::{Note, NoteId, NoteRepository};

/// The notes of a SQL database.
pub(super) struct SqlNotes<S>(pub(super) S);

#[async_trait]
impl<S: SqlStore> NoteRepository for SqlNotes<S> {
    async fn insert(&self, note: &Note, events: &[Event]) -> Result<(), RepoError> {
        let insert = || async {
            let mut write = self.0.write().await?;
            write.execute(insert(note)).await?;
            write.append(events).await?;
            write.commit().await
        };
        self.0.run(insert).await
    }

    async fn find(&self, id: NoteId) -> Result<Option<Note>, RepoError> {
        let find = || with_id("SELECT id, text, created_at FROM notes WHERE id = ", id);
        Ok(self.0.select(find, read_note).await?.pop())
    }

    async fn list(&self, after: Option<NoteId>, limit: u32) -> Result<Vec<Note>, RepoError> {
        self.0.select(|| page(after, limit), read_note).await
    }

    async fn delete(&self, id: NoteId) -> Result<bool, RepoError> {
        Ok(self.0.execute(|| with_id("DELETE FROM notes WHERE id = ", id)).await? == 1)
    }
}

fn insert<S: Statement>(note: &Note) -> S {
    let mut insert = S::new("INSERT INTO notes (id, text, created_at) VALUES (");
    insert.id(note.id.0).sql(", ").text(note.text.as_str()).sql(", ").number(note.created_at.as_millis()).sql(")");
    insert
}

fn with_id<S: Statement>(sql: &str, id: NoteId) -> S {
    let mut statement = S::new(sql);
    statement.id(id.0);
    statement
}

fn page<S: Statement>(after: Option<NoteId>, limit: u32) -> S {
    let mut select = S::new("SELECT id, text, created_at FROM notes");
    if let Some(after) = after {
        select.sql(" WHERE id < ").id(after.0);
    }
    select.sql(" ORDER BY id DESC LIMIT ").number(limit.into());
    select
}

fn read_note(row: &impl Columns) -> Result<Note, RepoError> {
    Ok(Note {
        id: NoteId(row.id("id").map_err(classify)?),
        text: row.text("text").map_err(classify)?.try_into().map_err(RepoError::corrupt)?,
        created_at: row.time("created_at").map_err(classify)?,
    })
}
