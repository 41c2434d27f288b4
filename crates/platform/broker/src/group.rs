//! What the brokers that are servers share: how keys are spread over partitions, how partitions are shared out among
//! the members of a group, and how a member keeps the events of each key in order.
//!
//! A topic has a fixed number of partitions, and all events of a key are in one of them. In a group each partition
//! has one member at a time, so that order within a key is a matter of that one member: it hands out the next event
//! of a key when the one before is settled. See [`lanes`] for that and [`member`] for what a subscriber sees of it.

mod lanes;
pub(crate) mod letters;
mod member;
mod overdue;

use std::collections::HashMap;

use kennel_core::broker::BrokerError;
use kennel_core::{Event, IdSource as _, UuidV7};

pub(crate) use self::lanes::Arrival;
pub(crate) use self::member::{Handle, Member, Shared};
pub(crate) use self::overdue::Overdue;

/// The broker was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("broker is closed")]
pub(crate) struct Closed;

impl From<Closed> for BrokerError {
    fn from(closed: Closed) -> Self {
        Self::Unavailable(closed.into())
    }
}

/// The partition of a key among `partitions`: the same in every process and version (FNV-1a of 64 bits, with the last
/// mixing of `MurmurHash3`, without which keys that are alike would huddle).
pub(crate) fn partition(key: &str, partitions: u16) -> u16 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in key.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    u16::try_from(hash % u64::from(partitions.max(1))).unwrap_or(0)
}

/// The events of a batch, parted so that no part has two of one topic and key. An event is sent when those of the part
/// before are stored: a failure in the middle cannot turn the order of a key around.
pub(crate) fn parts(batch: &[Event]) -> Vec<Vec<&Event>> {
    let mut parts: Vec<Vec<&Event>> = Vec::new();
    let mut before: HashMap<(&str, &str), usize> = HashMap::new();
    for event in batch {
        let part = before.entry((&event.topic, &event.key)).or_default();
        if parts.len() == *part {
            parts.push(Vec::new());
        }
        parts[*part].push(event);
        *part += 1;
    }
    parts
}

/// A word that no one else has, for names on a server.
pub(crate) fn unique() -> String {
    UuidV7.next().simple().to_string()
}

/// How many of `partitions` each of `members` may have at most.
pub(crate) fn quota(partitions: u16, members: usize) -> usize {
    usize::from(partitions).div_ceil(members.max(1))
}

/// `name` as one word of letters, digits, `-`, `_` and `~`, different for different names. A dot becomes `_`.
pub(crate) fn word(name: &str) -> String {
    let mut word = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' => word.push(char::from(byte)),
            b'.' => word.push('_'),
            _ => {
                word.push('~');
                word.extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])));
            }
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_key_keeps_its_partition() {
        // Pinned: another answer would part the events of a key.
        let found = ["", "rex", "bello", "h\u{fc}tte"].map(|key| partition(key, 8));
        assert_eq!(found, [6, 1, 2, 7]);
        assert!((0..1_000).all(|key| partition(&key.to_string(), 1) == 0));
    }

    #[test]
    fn keys_are_spread_evenly() {
        let mut counts = [0_u32; 8];
        for key in 0..8_000 {
            counts[usize::from(partition(&format!("dog-{key}"), 8))] += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }

    #[test]
    fn parts_keep_the_order_of_each_key() {
        let event = |number: u128, topic: &str, key: &str| Event {
            id: uuid::Uuid::from_u128(number),
            name: "n".to_owned(),
            source: "/s".to_owned(),
            topic: topic.to_owned(),
            key: key.to_owned(),
            time: kennel_core::Timestamp::from_millis(0).unwrap(),
            data: bytes::Bytes::new(),
            trace: None,
        };
        let batch =
            [event(1, "t", "a"), event(2, "t", "a"), event(3, "t", "b"), event(4, "u", "a"), event(5, "t", "a")];
        let found: Vec<Vec<_>> =
            parts(&batch).iter().map(|part| part.iter().map(|event| event.id.as_u128()).collect()).collect();
        assert_eq!(found, [vec![1, 3, 4], vec![2], vec![5]]);
        assert!(parts(&[]).is_empty());
    }

    #[test]
    fn members_can_have_all_partitions_between_them() {
        for members in 1..20 {
            assert!(quota(8, members) * members >= 8, "{members}");
        }
        assert_eq!([1, 2, 3, 8, 9].map(|members| quota(8, members)), [8, 4, 3, 1, 1]);
        assert_eq!(quota(8, 0), 8);
    }

    #[test]
    fn words_are_distinct() {
        assert_eq!(word("dogs.events-1"), "dogs_events-1");
        let names = ["a.b", "a_b", "a~5Fb", "a b", "a*b", "a>b", "a/b", "\u{fc}"];
        let words: BTreeSet<_> = names.iter().map(|name| word(name)).collect();
        assert_eq!(words.len(), names.len());
        assert!(words.iter().flat_map(|word| word.chars()).all(|c| c.is_ascii_alphanumeric() || "-_~".contains(c)));
    }
}
