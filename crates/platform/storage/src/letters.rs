//! Pages of dead letters.

use kennel_core::DeadLetter;

/// The first `limit` letters, cut between two events where that can be, so that the next page misses none.
pub(crate) fn whole_events(mut letters: Vec<DeadLetter>, limit: usize) -> Vec<DeadLetter> {
    if letters.len() <= limit {
        return letters;
    }
    let cut = letters[limit].event.id;
    letters.truncate(limit);
    let whole = letters.iter().position(|letter| letter.event.id == cut).filter(|whole| *whole > 0);
    letters.truncate(whole.unwrap_or(limit));
    letters
}
