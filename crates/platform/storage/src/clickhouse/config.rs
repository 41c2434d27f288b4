//! Settings of a ClickHouse database.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{Dsn, PoolConfig};

/// Settings of [`crate::clickhouse::ClickHouse::open`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClickHouseConfig {
    /// The connection URL, as `http://user:password@host:8123/database`, or `https://`. No default.
    pub dsn: Option<Dsn>,
    /// Limits of the requests; each request has its own connection.
    pub pool: PoolConfig,
}

/// A parsed URL, split as the driver needs it.
pub(super) struct Address {
    /// Scheme, host and port, without secrets.
    pub(super) url: String,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) database: String,
}

impl ClickHouseConfig {
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
    pub(super) fn address(&self) -> Result<Address, &'static str> {
        const SHAPE: &str = "must be like http://user:password@host:8123/database";
        let url = Url::parse(self.dsn.as_ref().ok_or("must be given")?.expose()).map_err(|_| SHAPE)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("must begin with http:// or https://");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(SHAPE);
        }
        let host = url.host_str().ok_or(SHAPE)?;
        let database = percent_decoded(url.path().trim_start_matches('/')).ok_or(SHAPE)?;
        if database.is_empty() || database.contains('/') {
            return Err("must name a database");
        }
        let port = url.port().unwrap_or(if url.scheme() == "https" { 8443 } else { 8123 });
        let user = Some(url.username()).filter(|user| !user.is_empty()).unwrap_or("default");
        Ok(Address {
            url: format!("{}://{host}:{port}/", url.scheme()),
            user: percent_decoded(user).ok_or(SHAPE)?,
            password: percent_decoded(url.password().unwrap_or_default()).ok_or(SHAPE)?,
            database,
        })
    }
}

/// Decodes percent-encoding. `None` when the result is not UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let code = (*first == b'%').then(|| tail.get(..2)).flatten();
        match code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(config: &ClickHouseConfig) -> Vec<String> {
        let mut problems = Vec::new();
        config.check("clickhouse", &mut problems);
        problems
    }

    #[test]
    fn a_dsn_is_required_and_never_quoted() {
        assert_eq!(problems(&ClickHouseConfig::default()), ["clickhouse.dsn: must be given"]);
        for dsn in [
            "hunter2",
            "tcp://kennel:hunter2@db:9000/dogs",
            "http://kennel:hunter2@db:none/dogs",
            "http://kennel:hunter2@db:8123",
            "http://kennel:hunter2@db:8123/a/b",
            "http://kennel:hunter2@db/dogs?password=hunter2",
        ] {
            let found = problems(&ClickHouseConfig::at(dsn));
            assert_eq!(found.len(), 1, "{dsn}: {found:?}");
            assert!(!found[0].contains("hunter2"), "{found:?}");
        }
    }

    #[test]
    fn a_dsn_is_split_into_its_components() {
        let address = ClickHouseConfig::at("https://ken%40nel:a%2Fb%25@db/dogs").address().unwrap();
        assert_eq!(address.url, "https://db:8443/");
        assert_eq!((address.user.as_str(), address.password.as_str()), ("ken@nel", "a/b%"));
        assert_eq!(address.database, "dogs");
        let address = ClickHouseConfig::at("http://[::1]/dogs").address().unwrap();
        assert_eq!((address.url.as_str(), address.user.as_str()), ("http://[::1]:8123/", "default"));
    }
}
