//! Pagination of dead letters.

use kennel_core::DeadLetter;

/// The first `limit` dead letters. The page ends at the last complete event where possible, because the next page
/// starts after an event id.
pub(crate) fn truncate_at_event(mut dead_letters: Vec<DeadLetter>, limit: usize) -> Vec<DeadLetter> {
    if dead_letters.len() <= limit {
        return dead_letters;
    }
    let next_event = dead_letters[limit].event.id;
    dead_letters.truncate(limit);
    let complete =
        dead_letters.iter().position(|dead_letter| dead_letter.event.id == next_event).filter(|complete| *complete > 0);
    dead_letters.truncate(complete.unwrap_or(limit));
    dead_letters
}
