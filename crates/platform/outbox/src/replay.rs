//! Replays dead letters.

use kennel_core::{DeadLetters, Inbox, RepoError, Timestamp};
use uuid::Uuid;

/// Publishes the event of dead letters again, so that the groups that gave up on it handle it with all their attempts.
/// Groups that have handled it skip it. Returns false when the event has no dead letters.
///
/// The receipts of those groups are deleted first: when a later step fails, the dead letters still exist and the replay
/// can be repeated.
///
/// # Errors
/// [`ReplayError`] names the store that failed.
pub async fn replay(
    dead_letters: &dyn DeadLetters,
    inbox: &dyn Inbox,
    event: Uuid,
    now: Timestamp,
) -> Result<bool, ReplayError> {
    for dead_letter in dead_letters.find(event).await.map_err(ReplayError::DeadLetters)? {
        inbox.forget(&dead_letter.group, event).await.map_err(ReplayError::Inbox)?;
    }
    dead_letters.replay(event, now).await.map_err(ReplayError::DeadLetters)
}

/// Why an event was not replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The dead-letter store failed.
    #[error("dead-letter store failed")]
    DeadLetters(#[source] RepoError),
    /// The inbox failed.
    #[error("inbox failed")]
    Inbox(#[source] RepoError),
}
