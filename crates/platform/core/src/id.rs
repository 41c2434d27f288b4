//! The one source of ids.

use uuid::Uuid;

/// Hands out ids that no one else hands out.
pub trait IdSource: Send + Sync + 'static {
    /// A fresh id. Ids of one source grow, so that they sort by age.
    fn next(&self) -> Uuid;
}

/// Time-ordered ids as of RFC 9562: version 7, growing within one process even inside a millisecond.
#[derive(Debug, Clone, Copy, Default)]
pub struct UuidV7;

impl IdSource for UuidV7 {
    #[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow() {
        let ids: Vec<_> = (0..10_000).map(|_| UuidV7.next()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
    }
}
