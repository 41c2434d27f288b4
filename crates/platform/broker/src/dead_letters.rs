//! Helpers of the brokers that store dead letters themselves.

use std::collections::BTreeMap;

use kennel_core::DeadLetter;

/// Returns the latest dead letter of each event and group, ordered by event id and group.
pub(crate) fn latest(dead_letters: impl IntoIterator<Item = DeadLetter>) -> Vec<DeadLetter> {
    let mut latest = BTreeMap::<_, DeadLetter>::new();
    for dead_letter in dead_letters {
        let name = (dead_letter.event.id, dead_letter.group.clone());
        if latest.get(&name).is_none_or(|known| known.at <= dead_letter.at) {
            latest.insert(name, dead_letter);
        }
    }
    latest.into_values().collect()
}

#[cfg(test)]
mod tests {
    use kennel_core::{Event, Timestamp};
    use uuid::Uuid;

    use super::*;

    fn dead_letter(id: u128, group: &str, at: i64) -> DeadLetter {
        let event = Event {
            id: Uuid::from_u128(id),
            name: "n".to_owned(),
            source: "/s".to_owned(),
            topic: "t".to_owned(),
            key: String::new(),
            time: Timestamp::from_millis(0).unwrap(),
            content_type: "application/json".to_owned(),
            data: bytes::Bytes::new(),
            trace: None,
        };
        let at = Timestamp::from_millis(at).unwrap();
        DeadLetter { event, group: group.to_owned(), attempts: 3, reason: "no".to_owned(), at }
    }

    #[test]
    fn the_latest_wins_in_any_order() {
        let (old, new, other) = (dead_letter(2, "g", 1), dead_letter(2, "g", 2), dead_letter(1, "h", 0));
        for dead_letters in [[&old, &new, &other], [&new, &other, &old]] {
            assert_eq!(latest(dead_letters.into_iter().cloned()), [other.clone(), new.clone()]);
        }
    }
}
