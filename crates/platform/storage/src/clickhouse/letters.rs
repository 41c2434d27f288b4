//! Dead letters.

use async_trait::async_trait;
use kennel_core::{DeadLetter, DeadLetterSink, DeadLetters, Event, RepoError, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ClickHouse;
use super::events::{EventRow, timestamp};
use super::outbox::waiting;
use super::pool::Range;
use super::records::{Found, LETTER, Place};
use crate::letters::whole_events;

/// The most groups that may have given up on one event.
const GROUPS: usize = 10_000;

/// The columns of a dead letter.
#[derive(Serialize, Deserialize)]
struct LetterRow {
    #[serde(flatten)]
    event: EventRow,
    event_group: String,
    attempts: u32,
    reason: String,
    at: i64,
}

impl TryFrom<LetterRow> for DeadLetter {
    type Error = RepoError;

    fn try_from(row: LetterRow) -> Result<Self, Self::Error> {
        Ok(Self {
            event: row.event.try_into()?,
            group: row.event_group,
            attempts: row.attempts,
            reason: row.reason,
            at: timestamp(row.at)?,
        })
    }
}

fn place(event: Uuid, group: &str) -> Place {
    LETTER.at(format!("{event}/{group}"))
}

/// The letters of one event. Behind `/` comes `0`.
fn of_event(event: Uuid) -> Range {
    Range { kind: LETTER, above: format!("{event}/"), below: Some(format!("{event}0")), descending: false }
}

fn read(found: &Found) -> Result<DeadLetter, RepoError> {
    found.read::<LetterRow>()?.try_into()
}

/// The dead letters of a ClickHouse database.
#[derive(Debug, Clone)]
pub struct ClickHouseDeadLetters(ClickHouse);

impl ClickHouseDeadLetters {
    /// The dead letters in `database`, which has the tables of [`super::EVENTS`].
    pub const fn new(database: ClickHouse) -> Self {
        Self(database)
    }

    async fn places(&self, event: Uuid) -> Result<Vec<Place>, RepoError> {
        let letters = self.0.scan(&of_event(event), GROUPS).await?;
        Ok(letters.into_iter().map(|letter| LETTER.at(letter.key)).collect())
    }
}

#[async_trait]
impl DeadLetterSink for ClickHouseDeadLetters {
    async fn store(&self, letter: &DeadLetter) -> Result<(), RepoError> {
        let place = place(letter.event.id, &letter.group);
        let row = LetterRow {
            event: EventRow::from(&letter.event),
            event_group: letter.group.clone(),
            attempts: letter.attempts,
            reason: letter.reason.clone(),
            at: letter.at.as_millis(),
        };
        self.0
            .write(vec![place.clone()], move |write| match write.get::<LetterRow>(&place)? {
                Some(later) if later.at > row.at => Ok(()),
                _ => write.put(&place, &row),
            })
            .await
    }
}

#[async_trait]
impl DeadLetters for ClickHouseDeadLetters {
    async fn list(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<DeadLetter>, RepoError> {
        let above = after.map_or_else(String::new, |after| format!("{after}0"));
        let range = Range { kind: LETTER, above, below: None, descending: false };
        let limit = limit as usize;
        let letters = self.0.scan(&range, limit.saturating_add(1)).await?;
        Ok(whole_events(letters.iter().map(read).collect::<Result<_, _>>()?, limit))
    }

    async fn find(&self, event: Uuid) -> Result<Vec<DeadLetter>, RepoError> {
        self.0.scan(&of_event(event), GROUPS).await?.iter().map(read).collect()
    }

    async fn replay(&self, event: Uuid, _now: Timestamp) -> Result<bool, RepoError> {
        let letters = self.places(event).await?;
        let waiting = waiting(&self.0, "", &[event]).await?;
        let reads = letters.iter().chain(&waiting).cloned().collect();
        self.0
            .write(reads, move |write| {
                let mut buried = Vec::new();
                for place in &letters {
                    buried.extend(write.get::<LetterRow>(place)?.map(DeadLetter::try_from).transpose()?);
                    write.remove(place);
                }
                let Some(latest) = buried.into_iter().max_by_key(|letter| letter.at) else {
                    return Ok(false);
                };
                if !any_waits(write, &waiting)? {
                    write.append(&[latest.event])?;
                }
                Ok(true)
            })
            .await
    }

    async fn discard(&self, event: Uuid) -> Result<bool, RepoError> {
        let letters = self.places(event).await?;
        self.0
            .write(letters.clone(), move |write| {
                let mut found = false;
                for place in &letters {
                    if write.get::<LetterRow>(place)?.is_some() {
                        write.remove(place);
                        found = true;
                    }
                }
                Ok(found)
            })
            .await
    }
}

/// Whether the event is about to be published as it is.
fn any_waits(write: &super::Write<'_>, places: &[Place]) -> Result<bool, RepoError> {
    for place in places {
        if write.get::<EventRow>(place)?.map(Event::try_from).transpose()?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
