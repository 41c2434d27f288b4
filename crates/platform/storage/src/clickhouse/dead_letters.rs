//! Dead letters.

use async_trait::async_trait;
use kennel_core::{DeadLetter, DeadLetterSink, DeadLetters, Event, RepoError, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ClickHouse;
use super::events::{EventRow, timestamp};
use super::outbox::pending_keys;
use super::pool::KeyRange;
use super::records::{DEAD_LETTER, Record, RecordKey};
use crate::dead_letters::truncate_at_event;

/// Maximum number of groups with a dead letter of one event.
const MAX_GROUPS: usize = 10_000;

/// The columns of a dead letter.
#[derive(Serialize, Deserialize)]
struct DeadLetterRow {
    #[serde(flatten)]
    event: EventRow,
    event_group: String,
    attempts: u32,
    reason: String,
    recorded_at: i64,
}

impl TryFrom<DeadLetterRow> for DeadLetter {
    type Error = RepoError;

    fn try_from(row: DeadLetterRow) -> Result<Self, Self::Error> {
        Ok(Self {
            event: row.event.try_into()?,
            group: row.event_group,
            attempts: row.attempts,
            reason: row.reason,
            at: timestamp(row.recorded_at)?,
        })
    }
}

fn record_key(event: Uuid, group: &str) -> RecordKey {
    DEAD_LETTER.key(format!("{event}/{group}"))
}

/// The dead letters of one event. `0` is the character after `/`.
fn of_event(event: Uuid) -> KeyRange {
    KeyRange { kind: DEAD_LETTER, above: format!("{event}/"), below: Some(format!("{event}0")), descending: false }
}

fn read(found: &Record) -> Result<DeadLetter, RepoError> {
    found.read::<DeadLetterRow>()?.try_into()
}

/// The dead letters of a ClickHouse database.
#[derive(Debug, Clone)]
pub struct ClickHouseDeadLetters(ClickHouse);

impl ClickHouseDeadLetters {
    /// The dead letters in `database`, which has the tables of [`super::EVENTS`].
    pub const fn new(database: ClickHouse) -> Self {
        Self(database)
    }

    async fn keys(&self, event: Uuid) -> Result<Vec<RecordKey>, RepoError> {
        let dead_letters = self.0.scan(&of_event(event), MAX_GROUPS).await?;
        Ok(dead_letters.into_iter().map(|record| DEAD_LETTER.key(record.key)).collect())
    }
}

#[async_trait]
impl DeadLetterSink for ClickHouseDeadLetters {
    async fn store(&self, dead_letter: &DeadLetter) -> Result<(), RepoError> {
        let key = record_key(dead_letter.event.id, &dead_letter.group);
        let row = DeadLetterRow {
            event: EventRow::from(&dead_letter.event),
            event_group: dead_letter.group.clone(),
            attempts: dead_letter.attempts,
            reason: dead_letter.reason.clone(),
            recorded_at: dead_letter.at.as_millis(),
        };
        self.0
            .write(vec![key.clone()], move |write| match write.get::<DeadLetterRow>(&key)? {
                Some(stored) if stored.recorded_at > row.recorded_at => Ok(()),
                _ => write.put(&key, &row),
            })
            .await
    }
}

#[async_trait]
impl DeadLetters for ClickHouseDeadLetters {
    async fn list(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<DeadLetter>, RepoError> {
        let above = after.map_or_else(String::new, |after| format!("{after}0"));
        let range = KeyRange { kind: DEAD_LETTER, above, below: None, descending: false };
        let limit = limit as usize;
        let dead_letters = self.0.scan(&range, limit.saturating_add(1)).await?;
        Ok(truncate_at_event(dead_letters.iter().map(read).collect::<Result<_, _>>()?, limit))
    }

    async fn find(&self, event: Uuid) -> Result<Vec<DeadLetter>, RepoError> {
        self.0.scan(&of_event(event), MAX_GROUPS).await?.iter().map(read).collect()
    }

    async fn replay(&self, event: Uuid, _now: Timestamp) -> Result<bool, RepoError> {
        let dead_letters = self.keys(event).await?;
        let pending = pending_keys(&self.0, "", &[event]).await?;
        let reads = dead_letters.iter().chain(&pending).cloned().collect();
        self.0
            .write(reads, move |write| {
                let mut found = Vec::new();
                for key in &dead_letters {
                    found.extend(write.get::<DeadLetterRow>(key)?.map(DeadLetter::try_from).transpose()?);
                    write.remove(key);
                }
                let Some(latest) = found.into_iter().max_by_key(|dead_letter| dead_letter.at) else {
                    return Ok(false);
                };
                if !any_pending(write, &pending)? {
                    write.append(&[latest.event])?;
                }
                Ok(true)
            })
            .await
    }

    async fn discard(&self, event: Uuid) -> Result<bool, RepoError> {
        let dead_letters = self.keys(event).await?;
        self.0
            .write(dead_letters.clone(), move |write| {
                let mut found = false;
                for key in &dead_letters {
                    if write.get::<DeadLetterRow>(key)?.is_some() {
                        write.remove(key);
                        found = true;
                    }
                }
                Ok(found)
            })
            .await
    }
}

/// Whether the event is already pending in the outbox.
fn any_pending(write: &super::Write<'_>, keys: &[RecordKey]) -> Result<bool, RepoError> {
    for key in keys {
        if write.get::<EventRow>(key)?.map(Event::try_from).transpose()?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
