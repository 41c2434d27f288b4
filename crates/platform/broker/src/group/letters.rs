//! Dead letters on a wire: the event as it was, and a note on how it got there.

use kennel_core::{DeadLetter, Event, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The header that carries the [`Note`], as JSON.
pub(crate) const NOTE_HEADER: &str = "kennel-failure";

/// What a dead letter has beside its event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) attempts: u32,
    pub(crate) reason: String,
    pub(crate) at: Timestamp,
}

impl Note {
    /// The note on a letter.
    pub(crate) fn on(letter: &DeadLetter) -> Self {
        Self {
            topic: letter.event.topic.clone(),
            group: letter.group.clone(),
            attempts: letter.attempts,
            reason: letter.reason.clone(),
            at: letter.at,
        }
    }

    /// The letter that this is the note on.
    pub(crate) fn letter(self, event: Event) -> DeadLetter {
        DeadLetter { event, group: self.group, attempts: self.attempts, reason: self.reason, at: self.at }
    }
}

/// The first `limit` of `ordered` behind the event `after`, cut between two events where that can be, so that the next
/// page misses none.
pub(crate) fn page<T>(ordered: Vec<T>, event: impl Fn(&T) -> Uuid, after: Option<Uuid>, limit: u32) -> Vec<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let behind = ordered.into_iter().filter(|letter| after.is_none_or(|after| event(letter) > after));
    let mut page: Vec<_> = behind.take(limit.saturating_add(1)).collect();
    if page.len() > limit {
        let cut = event(&page[limit]);
        page.truncate(limit);
        let whole = page.iter().position(|letter| event(letter) == cut).filter(|whole| *whole > 0);
        page.truncate(whole.unwrap_or(limit));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_and_the_event_make_the_letter() {
        let event = Event {
            id: Uuid::from_u128(1),
            name: "n".to_owned(),
            source: "/s".to_owned(),
            topic: "t".to_owned(),
            key: String::new(),
            time: Timestamp::from_millis(0).unwrap(),
            data: bytes::Bytes::new(),
            trace: None,
        };
        let (at, reason) = (Timestamp::from_millis(7).unwrap(), "no\r\n\"\u{fc}\"".to_owned());
        let letter = DeadLetter { event, group: "g".to_owned(), attempts: 3, reason, at };
        let json = serde_json::to_string(&Note::on(&letter)).unwrap();
        assert!(!json.contains(['\r', '\n']), "it goes in a header: {json}");
        let note: Note = serde_json::from_str(&json).unwrap();
        assert_eq!(note.letter(letter.event.clone()), letter);
    }

    #[test]
    fn a_page_does_not_part_an_event() {
        let ids = |after: Option<u128>, limit| {
            let all = vec![Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(2), Uuid::from_u128(3)];
            let page = page(all, |id| *id, after.map(Uuid::from_u128), limit);
            page.into_iter().map(|id| id.as_u128()).collect::<Vec<_>>()
        };
        assert_eq!(ids(None, 9), [1, 2, 2, 3]);
        assert_eq!(ids(None, 2), [1]);
        assert_eq!(ids(Some(1), 2), [2, 2]);
        assert_eq!(ids(Some(1), 1), [2], "an event with more letters than a page has room for is cut");
        assert_eq!(ids(Some(3), 1), [] as [u128; 0]);
    }
}
