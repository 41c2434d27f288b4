//! Settings of a `PostgreSQL` database.

use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnectOptions;

use crate::{Dsn, PoolConfig, Pooler};

/// Settings of [`crate::postgres::Postgres::open`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PostgresConfig {
    /// The connection URL, as `postgres://user:password@host:5432/database`. No default. `sslmode=verify-full` and
    /// `sslrootcert=FILE` in its query require TLS; without them, TLS is used where the server offers it.
    pub dsn: Option<Dsn>,
    /// The connection pooler between the service and the server.
    pub pooler: Pooler,
    /// Limits of the connections.
    pub pool: PoolConfig,
}

impl PostgresConfig {
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
    }

    /// Parses the URL. The error never quotes it, because it can contain a password.
    pub(super) fn address(&self) -> Result<PgConnectOptions, &'static str> {
        let dsn = self.dsn.as_ref().ok_or("must be given")?.expose();
        if !dsn.starts_with("postgres://") && !dsn.starts_with("postgresql://") {
            return Err("must begin with postgres:// or postgresql://");
        }
        let options: PgConnectOptions =
            dsn.parse().map_err(|_| "must be like postgres://user:password@host:5432/database")?;
        if options.get_database().is_none() {
            return Err("must name a database");
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(config: &PostgresConfig) -> Vec<String> {
        let mut problems = Vec::new();
        config.check("postgres", &mut problems);
        problems
    }

    #[test]
    fn a_dsn_is_required_and_never_quoted() {
        assert_eq!(problems(&PostgresConfig::default()), ["postgres.dsn: must be given"]);
        for dsn in [
            "hunter2",
            "mysql://kennel:hunter2@db/dogs",
            "postgres://kennel:hunter2@db:none/dogs",
            "postgres://kennel:hunter2@db",
            "postgres://kennel:hunter2@db/dogs?sslmode=hunter2",
        ] {
            let found = problems(&PostgresConfig::at(dsn));
            assert_eq!(found.len(), 1, "{dsn}: {found:?}");
            assert!(!found[0].contains("hunter2"), "{found:?}");
        }
    }

    #[test]
    fn dsns_of_both_schemes_are_accepted() {
        for dsn in ["postgres://u:p@h:5432/d", "postgresql://u@h/d?sslmode=verify-full&sslrootcert=/ca.pem"] {
            assert!(problems(&PostgresConfig::at(dsn)).is_empty(), "{dsn}");
        }
    }
}
