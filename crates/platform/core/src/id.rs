//! The only source of new ids.

use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use crate::time::{Clock as _, SystemClock};

/// Generates globally unique ids.
pub trait IdSource: Send + Sync + 'static {
    /// Returns a new id. Ids of one source increase, so that they sort by age.
    fn next(&self) -> Uuid;
}

/// Bits of the counter that orders ids of one millisecond.
const COUNTER_BITS: u32 = 12;

/// Milliseconds and counter of the newest id of this process.
static NEWEST: AtomicU64 = AtomicU64::new(0);

/// Time-ordered ids as in RFC 9562, version 7. They increase within a process, also inside one millisecond.
///
/// The counter of section 6.2, method 1, takes the 12 bits after the milliseconds; with more than 4,096 ids in a
/// millisecond, or after the clock was set back, the milliseconds run ahead of the clock. The other 62 bits are random.
/// No lock and no system call: every request takes an id.
#[derive(Debug, Clone, Copy, Default)]
pub struct UuidV7;

impl IdSource for UuidV7 {
    fn next(&self) -> Uuid {
        let now = u64::try_from(SystemClock.now().as_millis()).unwrap_or(0) << COUNTER_BITS;
        let following = |newest: u64| Some(now.max(newest + 1));
        let newest = NEWEST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, following);
        let ordered = newest.map_or(now, |newest| now.max(newest + 1));
        let (millis, counter) = (ordered >> COUNTER_BITS, ordered & ((1 << COUNTER_BITS) - 1));
        let random = u128::from(rand::random::<u64>());
        let bits = u128::from(millis) << 80 | u128::from(counter) << 64 | random;
        Builder::from_u128(bits).with_version(uuid::Version::SortRand).with_variant(uuid::Variant::RFC4122).into_uuid()
    }
}

/// Derives the id of something from what identifies it, such as the venue, the symbol and the number of a trade. Every
/// process that sees it gives it the same id: UUID version 8 with a hash of the parts.
///
/// Different parts have different ids, also if their concatenation is the same. Derived ids do not sort by age.
pub fn derive_id<'a>(parts: impl IntoIterator<Item = &'a str>) -> Uuid {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn derived_ids_depend_on_each_part() {
        let id = derive_id(["binance", "BTCUSDT", "7"]);
        assert_eq!(id.get_version_num(), 8);
        // Pinned: with another result, what was published before would be handled again.
        assert_eq!(id.to_string(), "2871cb23-113c-8a63-a9af-48c6d1103fed");
        for other in [&["binance", "BTCUSDT", "8"][..], &["binance", "BTCUSDT7"], &["binance", "BTCUSD", "T7"]] {
            assert_ne!(derive_id(other.iter().copied()), id);
        }
    }

    #[test]
    fn ids_increase() {
        let ids: Vec<_> = (0..10_000).map(|_| UuidV7.next()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert!(ids.iter().all(|id| id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122));
    }

    #[test]
    fn ids_have_the_time_and_are_unique_among_threads() {
        let before = SystemClock.now().as_millis();
        let thread = || std::thread::spawn(|| (0..1_000).map(|_| UuidV7.next()).collect::<Vec<_>>());
        let ids: Vec<_> = [thread(), thread()].into_iter().flat_map(|ids| ids.join().unwrap()).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        let (seconds, nanos) = ids[0].get_timestamp().unwrap().to_unix();
        let millis = i64::try_from(seconds * 1_000).unwrap() + i64::from(nanos / 1_000_000);
        assert!((before - 1_000..before + 10_000).contains(&millis), "{millis} {before}");
    }
}
