//! Replays dead letters.

use kennel_core::{DeadLetters, Inbox, RepoError, Timestamp};
use uuid::Uuid;

/// Publishes the event of dead letters again, and lets the groups that gave up on it handle it with all their attempts.
/// Groups that have handled it pass it over. False when it is no dead letter.
///
/// The receipts of those groups are forgotten first: a replay that fails after that leaves the dead letters, and can be
/// repeated.
///
/// # Errors
/// [`ReplayError`] says which of the two failed.
pub async fn replay(
    letters: &dyn DeadLetters,
    inbox: &dyn Inbox,
    event: Uuid,
    now: Timestamp,
) -> Result<bool, ReplayError> {
    for letter in letters.find(event).await.map_err(ReplayError::DeadLetters)? {
        inbox.forget(&letter.group, event).await.map_err(ReplayError::Inbox)?;
    }
    letters.replay(event, now).await.map_err(ReplayError::DeadLetters)
}

/// Why an event was not replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// What has the dead letters failed.
    #[error("dead letters failed")]
    DeadLetters(#[source] RepoError),
    /// What has the receipts failed.
    #[error("inbox failed")]
    Inbox(#[source] RepoError),
}
