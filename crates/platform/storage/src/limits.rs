//! Limits of the connections to a database server.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits of the connections to a database server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PoolConfig {
    /// Maximum number of connections. They are opened on demand.
    pub max_connections: NonZeroU32,
    /// How long a call waits for a free connection, in milliseconds.
    pub acquire_timeout_ms: u64,
    /// How long the server may work on one statement before it cancels it, in milliseconds.
    pub statement_timeout_ms: u64,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            max_connections: NonZeroU32::MIN.saturating_add(9),
            acquire_timeout_ms: 5_000,
            statement_timeout_ms: 15_000,
        }
    }
}

impl PoolConfig {
    /// Adds one line per invalid setting, with the setting's path.
    pub fn check(&self, path: &str, problems: &mut Vec<String>) {
        if self.max_connections.get() > 1_000 {
            problems.push(format!("{path}.max_connections: must be 1 to 1000"));
        }
        if !(100..=600_000).contains(&self.acquire_timeout_ms) {
            problems.push(format!("{path}.acquire_timeout_ms: must be 100ms to 10m"));
        }
        if !(100..=3_600_000).contains(&self.statement_timeout_ms) {
            problems.push(format!("{path}.statement_timeout_ms: must be 100ms to 1h"));
        }
    }

    /// How long a call waits for a free connection.
    pub(crate) const fn acquire_timeout(&self) -> Duration {
        Duration::from_millis(self.acquire_timeout_ms)
    }

    /// How long the server may work on one statement.
    pub(crate) const fn statement_timeout(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_all_problems_are_reported_at_once() {
        let mut problems = Vec::new();
        PoolConfig::default().check("pool", &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        let max_connections = NonZeroU32::MIN.saturating_add(1_000);
        let config = PoolConfig { max_connections, acquire_timeout_ms: 0, statement_timeout_ms: 0 };
        config.check("pool", &mut problems);
        assert_eq!(problems.len(), 3, "{problems:?}");
    }
}
