//! Ids of rows without an id.

use kennel_core::Timestamp;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::DogId;

/// Generates the ids of rows without an id, in the layout of UUID version 7: the start time of the import, then 34 bits
/// of line number, then 40 bits of the key's digest.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowIds {
    millis: u64,
    key_bits: u64,
}

impl RowIds {
    pub(super) fn new(import: &str, started_at: Timestamp) -> Self {
        let digest = Sha256::digest(import);
        let key_bits = digest[..5].iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
        Self { millis: u64::try_from(started_at.as_millis()).unwrap_or(0), key_bits }
    }

    pub(super) fn id(self, line: u64) -> DogId {
        let line = line & 0x3_FFFF_FFFF;
        let random = u128::from(line) << 40 | u128::from(self.key_bits);
        // RFC 9562, section 5.7: 12 of the 74 free bits follow the version, 62 the variant.
        let high = self.millis << 16 | 0x7000 | u64::try_from(random >> 62).unwrap_or(0);
        let low = 1 << 63 | u64::try_from(random & ((1 << 62) - 1)).unwrap_or(0);
        DogId(Uuid::from_u64_pair(high, low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_ids_are_version_7_and_follow_the_lines() {
        let started = Timestamp::from_millis(1_700_000_000_000).unwrap();
        let ids = RowIds::new("import", started);
        let generated: Vec<_> = (1..10_000).map(|line| ids.id(line)).collect();
        assert!(generated.is_sorted_by(|a, b| a < b));
        for id in &generated {
            assert_eq!((id.0.get_version_num(), id.0.get_variant()), (7, uuid::Variant::RFC4122));
            assert_eq!(id.0.get_timestamp().unwrap().to_unix(), (1_700_000_000, 0));
        }
        assert_eq!(ids.id(7), RowIds::new("import", started).id(7), "a repetition has the same ids");
        assert_ne!(ids.id(7), RowIds::new("other", started).id(7));
        assert!(ids.id(1 << 33) > ids.id((1 << 33) - 1));
    }
}
