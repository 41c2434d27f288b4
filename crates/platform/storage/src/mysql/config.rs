//! Settings of a MySQL database.

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlConnectOptions;

use crate::{Dsn, PoolConfig};

/// Settings of [`crate::mysql::Mysql::open`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MysqlConfig {
    /// The connection URL, as `mysql://user:password@host:3306/database`. No default. `ssl-mode=VERIFY_IDENTITY` and
    /// `ssl-ca=FILE` in its query require TLS; without them, TLS is used where the server offers it.
    pub dsn: Option<Dsn>,
    /// Limits of the connections.
    pub pool: PoolConfig,
    /// How often a waiting outbox polls for events that other processes committed, in milliseconds.
    pub poll_ms: u64,
}

impl Default for MysqlConfig {
    fn default() -> Self {
        Self { dsn: None, pool: PoolConfig::default(), poll_ms: 200 }
    }
}

impl MysqlConfig {
    /// The default settings for the database at `dsn`.
    pub fn at(dsn: impl Into<Dsn>) -> Self {
        Self { dsn: Some(dsn.into()), ..Self::default() }
    }

    /// Adds one line per invalid setting, with the setting's path.
    pub fn check(&self, path: &str, problems: &mut Vec<String>) {
        if let Err(problem) = self.address() {
            problems.push(format!("{path}.dsn: {problem}"));
        }
        self.pool.check(&format!("{path}.pool"), problems);
        if !(10..=60_000).contains(&self.poll_ms) {
            problems.push(format!("{path}.poll_ms: must be 10ms to 1m"));
        }
    }

    /// Parses the URL. The error never quotes it, because it can contain a password.
    pub(super) fn address(&self) -> Result<MySqlConnectOptions, &'static str> {
        let dsn = self.dsn.as_ref().ok_or("must be given")?.expose();
        if !dsn.starts_with("mysql://") && !dsn.starts_with("mariadb://") {
            return Err("must begin with mysql:// or mariadb://");
        }
        let options: MySqlConnectOptions =
            dsn.parse().map_err(|_| "must be like mysql://user:password@host:3306/database")?;
        if options.get_database().is_none() {
            return Err("must name a database");
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(config: &MysqlConfig) -> Vec<String> {
        let mut problems = Vec::new();
        config.check("mysql", &mut problems);
        problems
    }

    #[test]
    fn a_dsn_is_required_and_never_quoted() {
        assert_eq!(problems(&MysqlConfig::default()), ["mysql.dsn: must be given"]);
        for dsn in [
            "hunter2",
            "postgres://kennel:hunter2@db/dogs",
            "mysql://kennel:hunter2@db:none/dogs",
            "mysql://kennel:hunter2@db",
            "mysql://kennel:hunter2@db/dogs?ssl-mode=hunter2",
        ] {
            let found = problems(&MysqlConfig::at(dsn));
            assert_eq!(found.len(), 1, "{dsn}: {found:?}");
            assert!(!found[0].contains("hunter2"), "{found:?}");
        }
    }

    #[test]
    fn valid_settings_are_accepted_and_all_problems_are_reported_at_once() {
        let config = MysqlConfig::at("mysql://u:p@h:3306/d?ssl-mode=VERIFY_IDENTITY&ssl-ca=/ca.pem");
        assert!(problems(&config).is_empty());
        let pool = PoolConfig { acquire_timeout_ms: 0, ..PoolConfig::default() };
        assert_eq!(problems(&MysqlConfig { dsn: None, poll_ms: 0, pool }).len(), 3);
    }
}
