//! What brokers that keep dead letters themselves have in common.

use std::collections::BTreeMap;

use kennel_core::DeadLetter;

/// Each letter once for its event and group, the latest one, by event id and group.
pub(crate) fn latest(letters: impl IntoIterator<Item = DeadLetter>) -> Vec<DeadLetter> {
    let mut latest = BTreeMap::<_, DeadLetter>::new();
    for letter in letters {
        let name = (letter.event.id, letter.group.clone());
        if latest.get(&name).is_none_or(|known| known.at <= letter.at) {
            latest.insert(name, letter);
        }
    }
    latest.into_values().collect()
}

#[cfg(test)]
mod tests {
    use kennel_core::{Event, Timestamp};
    use uuid::Uuid;

    use super::*;

    fn letter(id: u128, group: &str, at: i64) -> DeadLetter {
        let event = Event {
            id: Uuid::from_u128(id),
            name: "n".to_owned(),
            source: "/s".to_owned(),
            topic: "t".to_owned(),
            key: String::new(),
            time: Timestamp::from_millis(0).unwrap(),
            data: bytes::Bytes::new(),
            trace: None,
        };
        let at = Timestamp::from_millis(at).unwrap();
        DeadLetter { event, group: group.to_owned(), attempts: 3, reason: "no".to_owned(), at }
    }

    #[test]
    fn the_latest_wins_whatever_the_order() {
        let (old, new, other) = (letter(2, "g", 1), letter(2, "g", 2), letter(1, "h", 0));
        for letters in [[&old, &new, &other], [&new, &other, &old]] {
            assert_eq!(latest(letters.into_iter().cloned()), [other.clone(), new.clone()]);
        }
    }
}
