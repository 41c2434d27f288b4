//! Common code of the brokers without consumer groups of their own (NATS, RabbitMQ): mapping of keys to partitions,
//! assignment of partitions to the members of a group, and per-key order within a member.
//!
//! A topic has a fixed number of partitions, and all events of a key are in one partition. Each partition of a group
//! has one member at a time, so that this member alone is responsible for the order of its keys: it delivers the next
//! event of a key after the previous one is settled. See [`received`] for the order and [`subscription`] for what a
//! subscriber gets.

pub(crate) mod dead_letters;
mod failure_timer;
mod received;
mod subscription;

use std::collections::HashMap;

use kennel_core::{Event, IdSource as _, UuidV7};

pub(crate) use self::failure_timer::FailureTimer;
pub(crate) use self::received::Received;
pub(crate) use self::subscription::{DeliveryBuffer, GroupSubscription, MessageHandle};

/// Returns the partition of a key, stable across processes and versions: FNV-1a with 64 bits, followed by the finalizer
/// of `MurmurHash3`, because FNV alone distributes similar keys unevenly.
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

/// Splits a batch into rounds with at most one event per topic and key. A round is sent after the previous one is
/// stored, so that a failure in the middle cannot reorder the events of a key.
pub(crate) fn rounds(batch: &[Event]) -> Vec<Vec<&Event>> {
    let mut rounds: Vec<Vec<&Event>> = Vec::new();
    let mut next_round: HashMap<(&str, &str), usize> = HashMap::new();
    for event in batch {
        let round = next_round.entry((&event.topic, &event.key)).or_default();
        if rounds.len() == *round {
            rounds.push(Vec::new());
        }
        rounds[*round].push(event);
        *round += 1;
    }
    rounds
}

/// Returns a unique name for an object on a server.
pub(crate) fn unique_name() -> String {
    UuidV7.next().simple().to_string()
}

/// Returns the maximum number of partitions per member, for an even distribution.
pub(crate) fn quota(partitions: u16, members: usize) -> usize {
    usize::from(partitions).div_ceil(members.max(1))
}

/// Encodes `name` with letters, digits, `-`, `_` and `~`. Injective: different names have different encodings. A dot
/// becomes `_`.
pub(crate) fn encode_name(name: &str) -> String {
    let mut encode_name = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' => encode_name.push(char::from(byte)),
            b'.' => encode_name.push('_'),
            _ => {
                encode_name.push('~');
                encode_name
                    .extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])));
            }
        }
    }
    encode_name
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_key_always_has_the_same_partition() {
        // Pinned: with another result, a key would have events in two partitions.
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
    fn rounds_preserve_the_order_of_each_key() {
        let event = |number: u128, topic: &str, key: &str| Event {
            id: uuid::Uuid::from_u128(number),
            name: "n".to_owned(),
            source: "/s".to_owned(),
            topic: topic.to_owned(),
            key: key.to_owned(),
            time: kennel_core::Timestamp::from_millis(0).unwrap(),
            content_type: "application/json".to_owned(),
            data: bytes::Bytes::new(),
            trace: None,
        };
        let batch =
            [event(1, "t", "a"), event(2, "t", "a"), event(3, "t", "b"), event(4, "u", "a"), event(5, "t", "a")];
        let found: Vec<Vec<_>> =
            rounds(&batch).iter().map(|round| round.iter().map(|event| event.id.as_u128()).collect()).collect();
        assert_eq!(found, [vec![1, 3, 4], vec![2], vec![5]]);
        assert!(rounds(&[]).is_empty());
    }

    #[test]
    fn the_quotas_of_all_members_cover_all_partitions() {
        for members in 1..20 {
            assert!(quota(8, members) * members >= 8, "{members}");
        }
        assert_eq!([1, 2, 3, 8, 9].map(|members| quota(8, members)), [8, 4, 3, 1, 1]);
        assert_eq!(quota(8, 0), 8);
    }

    #[test]
    fn encoded_names_are_distinct() {
        assert_eq!(encode_name("dogs.events-1"), "dogs_events-1");
        let names = ["a.b", "a_b", "a~5Fb", "a b", "a*b", "a>b", "a/b", "\u{fc}"];
        let names: BTreeSet<_> = names.iter().map(|name| encode_name(name)).collect();
        assert_eq!(names.len(), names.len());
        assert!(
            names
                .iter()
                .flat_map(|encode_name| encode_name.chars())
                .all(|c| c.is_ascii_alphanumeric() || "-_~".contains(c))
        );
    }
}
