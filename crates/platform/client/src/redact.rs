//! URLs in spans and logs, without secrets.

use kennel_config::Secret;
use percent_encoding::percent_decode_str;
use url::Url;

/// What is shown in place of a secret.
const REDACTED: &str = "***";

/// The URL with `***` for its user, its password, each value of its query, and each segment of its path that contains a
/// secret, also if the segment is percent-encoded.
pub(crate) fn shown(url: &Url, secrets: &[Secret]) -> String {
    let is_secret = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8_lossy();
        let mut secrets = secrets.iter().map(Secret::expose).filter(|secret| !secret.is_empty());
        secrets.any(|secret| text.contains(secret) || decoded.contains(secret))
    };
    let redacted = |text: &str| if is_secret(text) { REDACTED.to_owned() } else { text.to_owned() };
    let path: Vec<_> = url.path().split('/').map(redacted).collect();
    let user = if url.username().is_empty() && url.password().is_none() { "" } else { "***@" };
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query: Vec<_> = url.query_pairs().map(|(name, _)| format!("{}={REDACTED}", redacted(&name))).collect();
    let separator = if query.is_empty() { "" } else { "?" };
    format!("{}://{user}{host}{port}{}{separator}{}", url.scheme(), path.join("/"), query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let secrets = ["k-1".into(), "a/b+c".into(), "".into()];
        for (url, expected) in [
            ("https://dog.ceo/api/breeds/list/all", "https://dog.ceo/api/breeds/list/all"),
            ("https://api.example/v1/search?api_key=k-1&q=cat", "https://api.example/v1/search?api_key=***&q=***"),
            ("https://api.example/v1/search?k-1", "https://api.example/v1/search?***=***"),
            ("https://api.example/api/v1/k-1/gifs", "https://api.example/api/v1/***/gifs"),
            ("https://api.example/api/v1/a%2Fb%2Bc/gifs", "https://api.example/api/v1/***/gifs"),
            ("https://api.example/key=k-1;x/gifs#k-1", "https://api.example/***/gifs"),
            ("http://user:hunter2@api.example:8080/", "http://***@api.example:8080/"),
            ("http://user@[::1]:8080/", "http://***@[::1]:8080/"),
        ] {
            assert_eq!(shown(&url.parse().unwrap(), &secrets), expected);
        }
    }
}
