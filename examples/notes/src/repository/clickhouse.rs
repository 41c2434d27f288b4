//! Notes in ClickHouse: records of one table, written through the committer of [`kennel_storage::clickhouse`].

use async_trait::async_trait;
use kennel_core::{Event, RepoError, Timestamp};
use kennel_storage::clickhouse::{ClickHouse, KeyRange, Record, RecordKey, RecordKind};
use serde::{Deserialize, Serialize};

use crate::domain::{Note, NoteId, NoteRepository};

const NOTE: RecordKind = RecordKind { name: "note", columns: "text, created_at" };

fn key(id: NoteId) -> RecordKey {
    NOTE.key(id.to_string())
}

/// The columns of a note, in addition to its key.
#[derive(Serialize, Deserialize)]
struct NoteRow {
    text: String,
    created_at: i64,
}

fn read(record: &Record) -> Result<Note, RepoError> {
    let row: NoteRow = record.read()?;
    Ok(Note {
        id: record.key.parse().map_err(RepoError::corrupt)?,
        text: row.text.try_into().map_err(RepoError::corrupt)?,
        created_at: Timestamp::from_millis(row.created_at).map_err(RepoError::corrupt)?,
    })
}

/// The notes of a ClickHouse database.
pub(super) struct ClickHouseNotes(pub(super) ClickHouse);

#[async_trait]
impl NoteRepository for ClickHouseNotes {
    async fn insert(&self, note: &Note, events: &[Event]) -> Result<(), RepoError> {
        let (key, events) = (key(note.id), events.to_vec());
        let row = NoteRow { text: note.text.as_str().to_owned(), created_at: note.created_at.as_millis() };
        self.0
            .write(vec![key.clone()], move |write| {
                if write.get::<NoteRow>(&key)?.is_some() {
                    return Err(RepoError::Conflict);
                }
                write.put(&key, &row)?;
                write.append(&events)
            })
            .await
    }

    async fn find(&self, id: NoteId) -> Result<Option<Note>, RepoError> {
        let found = self.0.find(&[key(id)]).await?;
        found.values().next().map(read).transpose()
    }

    async fn list(&self, after: Option<NoteId>, limit: u32) -> Result<Vec<Note>, RepoError> {
        // Ids sort as text in the same order.
        let below = after.map(|id| id.to_string());
        let range = KeyRange { kind: NOTE, above: String::new(), below, descending: true };
        let found = self.0.scan(&range, limit as usize).await?;
        found.iter().map(read).collect()
    }

    async fn delete(&self, id: NoteId) -> Result<bool, RepoError> {
        let key = key(id);
        self.0
            .write(vec![key.clone()], move |write| {
                let exists = write.get::<NoteRow>(&key)?.is_some();
                if exists {
                    write.remove(&key);
                }
                Ok(exists)
            })
            .await
    }
}
