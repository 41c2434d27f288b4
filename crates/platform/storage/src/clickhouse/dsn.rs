//! The connection URL of a ClickHouse database.

use kennel_config::Secret;
use url::Url;

/// A parsed URL, split as the driver needs it.
pub(crate) struct Address {
    /// Scheme, host and port, without secrets.
    pub(crate) url: String,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) database: String,
}

/// Parses a URL such as `http://user:password@host:8123/database`, or `https://`. The error never quotes it, because it can
/// contain a password.
pub(crate) fn parse_dsn(dsn: &Secret) -> Result<Address, &'static str> {
    const SHAPE: &str = "must be like http://user:password@host:8123/database";
    let url = Url::parse(dsn.expose()).map_err(|_| SHAPE)?;
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

    #[test]
    fn a_dsn_is_split_into_its_components() {
        let address = parse_dsn(&"https://ken%40nel:a%2Fb%25@db/dogs".into()).unwrap();
        assert_eq!(address.url, "https://db:8443/");
        assert_eq!((address.user.as_str(), address.password.as_str()), ("ken@nel", "a/b%"));
        assert_eq!(address.database, "dogs");
        let address = parse_dsn(&"http://[::1]/dogs".into()).unwrap();
        assert_eq!((address.url.as_str(), address.user.as_str()), ("http://[::1]:8123/", "default"));
    }
}
