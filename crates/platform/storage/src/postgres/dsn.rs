//! The connection URL of a `PostgreSQL` database.

use kennel_config::Secret;
use sqlx::postgres::PgConnectOptions;

/// Parses a URL such as `postgres://user:password@host:5432/database`. `sslmode=verify-full` and `sslrootcert=FILE` in its query require
/// TLS; without them, TLS is used where the server offers it. The error never quotes the URL, because it can contain a
/// password.
pub(crate) fn parse_dsn(dsn: &Secret) -> Result<PgConnectOptions, &'static str> {
    let dsn = dsn.expose();
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
