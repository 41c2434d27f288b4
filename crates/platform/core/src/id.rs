//! The only source of new ids.

use uuid::Uuid;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_increase() {
        let ids: Vec<_> = (0..10_000).map(|_| UuidV7.next()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
    }
}
