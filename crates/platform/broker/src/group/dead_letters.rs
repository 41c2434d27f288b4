//! Encoding of dead letters: the unchanged event, with the failure in a header.

use kennel_core::{DeadLetter, Event, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Header that contains [`FailureDetails`] as JSON.
pub(crate) const FAILURE_HEADER: &str = "kennel-failure";

/// The fields of a dead letter that are not part of its event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FailureDetails {
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) attempts: u32,
    pub(crate) reason: String,
    pub(crate) at: Timestamp,
}

impl FailureDetails {
    /// Returns the details of a dead letter.
    pub(crate) fn of(dead_letter: &DeadLetter) -> Self {
        Self {
            topic: dead_letter.event.topic.clone(),
            group: dead_letter.group.clone(),
            attempts: dead_letter.attempts,
            reason: dead_letter.reason.clone(),
            at: dead_letter.at,
        }
    }

    /// Returns the dead letter of `event` with these details.
    pub(crate) fn into_dead_letter(self, event: Event) -> DeadLetter {
        DeadLetter { event, group: self.group, attempts: self.attempts, reason: self.reason, at: self.at }
    }
}

/// Returns up to `limit` of `ordered` after the event `after`. A page ends between two events if possible, so that the
/// next page misses none.
pub(crate) fn page<T>(ordered: Vec<T>, event: impl Fn(&T) -> Uuid, after: Option<Uuid>, limit: u32) -> Vec<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let later = ordered.into_iter().filter(|dead_letter| after.is_none_or(|after| event(dead_letter) > after));
    let mut page: Vec<_> = later.take(limit.saturating_add(1)).collect();
    if page.len() > limit {
        let cut = event(&page[limit]);
        page.truncate(limit);
        let full = page.iter().position(|dead_letter| event(dead_letter) == cut).filter(|full| *full > 0);
        page.truncate(full.unwrap_or(limit));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_and_event_restore_the_dead_letter() {
        let event = Event {
            id: Uuid::from_u128(1),
            name: "n".to_owned(),
            source: "/s".to_owned(),
            topic: "t".to_owned(),
            key: String::new(),
            time: Timestamp::from_millis(0).unwrap(),
            content_type: "application/json".to_owned(),
            data: bytes::Bytes::new(),
            trace: None,
        };
        let (at, reason) = (Timestamp::from_millis(7).unwrap(), "no\r\n\"\u{fc}\"".to_owned());
        let dead_letter = DeadLetter { event, group: "g".to_owned(), attempts: 3, reason, at };
        let json = serde_json::to_string(&FailureDetails::of(&dead_letter)).unwrap();
        assert!(!json.contains(['\r', '\n']), "it is a header value: {json}");
        let details: FailureDetails = serde_json::from_str(&json).unwrap();
        assert_eq!(details.into_dead_letter(dead_letter.event.clone()), dead_letter);
    }

    #[test]
    fn a_page_does_not_split_an_event() {
        let ids = |after: Option<u128>, limit| {
            let all = vec![Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(2), Uuid::from_u128(3)];
            let page = page(all, |id| *id, after.map(Uuid::from_u128), limit);
            page.into_iter().map(|id| id.as_u128()).collect::<Vec<_>>()
        };
        assert_eq!(ids(None, 9), [1, 2, 2, 3]);
        assert_eq!(ids(None, 2), [1]);
        assert_eq!(ids(Some(1), 2), [2, 2]);
        assert_eq!(ids(Some(1), 1), [2], "an event with more dead letters than a page is split");
        assert_eq!(ids(Some(3), 1), [] as [u128; 0]);
    }
}
