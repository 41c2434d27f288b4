//! Settings of a SQLite database. They exist without the feature too, so that a service's settings do not depend on it.

use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// When a commit counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// Once it has reached the operating system: survives a crash of the process, including `kill -9`. The last commits
    /// may be lost when the machine loses power or its kernel crashes; the file stays consistent.
    Normal,
    /// Once it is on disk: also survives a power loss. Costs one `fsync` per commit.
    #[default]
    Full,
}

/// Which file to open, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqliteConfig {
    /// The database file; it and its folder are created when missing. SQLite creates `-wal` and `-shm` files next to
    /// it.
    pub path: PathBuf,
    /// When a commit counts as durable: `full` (on disk) or `normal` (in the operating system's cache).
    pub synchronous: Synchronous,
    /// Number of connections for reading; all writes share one further connection.
    pub readers: NonZeroU32,
    /// How long a call waits for a free connection, and then for a write of another process to end, in milliseconds.
    pub busy_timeout_ms: u64,
    /// Page cache of each connection, in KiB.
    pub cache_kib: u32,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::from("data/kennel.db"),
            synchronous: Synchronous::default(),
            readers: NonZeroU32::MIN.saturating_add(2),
            busy_timeout_ms: 5_000,
            cache_kib: 2_048,
        }
    }
}

impl SqliteConfig {
    /// The default settings for the file `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// Adds one line per invalid setting, with the setting's path.
    pub fn check(&self, path: &str, problems: &mut Vec<String>) {
        if self.path.as_os_str().is_empty() || self.path.as_os_str().as_encoded_bytes().starts_with(b":") {
            problems.push(format!("{path}.path: must name a file"));
        }
        if !(100..=600_000).contains(&self.busy_timeout_ms) {
            problems.push(format!("{path}.busy_timeout_ms: must be 100ms to 10m"));
        }
        if self.readers.get() > 64 {
            problems.push(format!("{path}.readers: must be 1 to 64"));
        }
        if !(64..=1_048_576).contains(&self.cache_kib) {
            problems.push(format!("{path}.cache_kib: must be 64KiB to 1GiB"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_durable_and_valid() {
        let mut problems = Vec::new();
        SqliteConfig::default().check("sqlite", &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(SqliteConfig::default().synchronous, Synchronous::Full);
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let mut problems = Vec::new();
        let readers = NonZeroU32::MIN.saturating_add(64);
        let config = SqliteConfig { readers, busy_timeout_ms: 0, cache_kib: 1, ..SqliteConfig::at(":memory:") };
        config.check("sqlite", &mut problems);
        assert_eq!(problems.len(), 4, "{problems:?}");
    }
}
