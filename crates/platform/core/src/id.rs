//! The only source of new ids.

use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

/// Generates globally unique ids.
pub trait IdSource: Send + Sync + 'static {
    /// Returns a new id. Ids of one source increase, so that they sort by age.
    fn next(&self) -> Uuid;
}

/// Time-ordered ids as in RFC 9562, version 7. They increase within a process, also inside one millisecond.
#[derive(Debug, Clone, Copy, Default)]
pub struct UuidV7;

impl IdSource for UuidV7 {
    #[expect(clippy::disallowed_methods, reason = "the only code that generates ids")]
    fn next(&self) -> Uuid {
        Uuid::now_v7()
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
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
    }
}
