//! The connection URL of a MySQL database.

use kennel_config::Secret;
use sqlx::mysql::MySqlConnectOptions;

/// Parses a URL such as `mysql://user:password@host:3306/database`. `ssl-mode=VERIFY_IDENTITY` and `ssl-ca=FILE` in its query require
/// TLS; without them, TLS is used where the server offers it. The error never quotes the URL, because it can contain a
/// password.
pub(crate) fn parse_dsn(dsn: &Secret) -> Result<MySqlConnectOptions, &'static str> {
    let dsn = dsn.expose();
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
