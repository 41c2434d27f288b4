//! Passwords that are configured separately from the URL to which they belong.

use std::fmt::Write as _;

use crate::secret::Secret;

impl Secret {
    /// Returns the URL, or several separated by commas, with `password` for the user of each; unchanged without a
    /// password. A separate password can contain any characters, most of which would have to be percent-encoded in a
    /// URL.
    ///
    /// Fails when a URL has no user, or another password. The error quotes neither.
    pub fn with_password(&self, password: Option<&Self>) -> Result<Self, &'static str> {
        let Some(password) = password.map(Self::expose).filter(|password| !password.is_empty()) else {
            return Ok(self.clone());
        };
        let urls = self.expose().split(',').map(|url| with_password(url.trim(), password));
        Ok(urls.collect::<Result<Vec<_>, _>>()?.join(",").into())
    }
}

/// Returns the URL with `password` for its user.
fn with_password(url: &str, password: &str) -> Result<String, &'static str> {
    let authority = url.find("://").ok_or("must be a URL, such as scheme://user@host")? + 3;
    let end = url[authority..].find(['/', '?', '#']).map_or(url.len(), |length| authority + length);
    let at = authority
        + url[authority..end].rfind('@').ok_or("must contain the user of the separately configured password")?;
    let (user, existing) = match url[authority..at].split_once(':') {
        None => (&url[authority..at], None),
        Some((user, existing)) => (user, Some(existing)),
    };
    if user.is_empty() {
        return Err("must contain the user of the separately configured password");
    }
    let percent_encoded = percent_encoded(password);
    if existing.is_some_and(|existing| existing != password && existing != percent_encoded) {
        return Err("contains another password than the separately configured one");
    }
    Ok(format!("{}{user}:{percent_encoded}{}", &url[..authority], &url[at..]))
}

/// Percent-encodes all characters that are not unreserved in a URL.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut percent_encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            percent_encoded.push(byte.into());
        } else {
            // Writing to a string cannot fail.
            write!(percent_encoded, "%{byte:02X}").ok();
        }
        percent_encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_can_contain_any_characters() {
        let url = with_password("postgres://kennel@db:5432/dogs?sslmode=prefer", "p@ss/w#1%2$x: \u{e9}").unwrap();
        assert_eq!(url, "postgres://kennel:p%40ss%2Fw%231%252%24x%3A%20%C3%A9@db:5432/dogs?sslmode=prefer");
        let urls = Secret::from("nats://a@b:4222, nats://a@c");
        assert_eq!(urls.with_password(Some(&"%".into())).unwrap().expose(), "nats://a:%25@b:4222,nats://a:%25@c");
        for none in [None, Some(&"".into())] {
            assert_eq!(urls.with_password(none).unwrap().expose(), urls.expose());
        }
    }

    #[test]
    fn a_password_in_the_url_has_to_be_equal() {
        for url in ["amqp://a:p%40@b/%2f", "amqp://a:p@@b/%2f"] {
            assert_eq!(with_password(url, "p@").unwrap(), "amqp://a:p%40@b/%2f");
        }
        let problem = with_password("amqp://a:hunter2@b", "hunter3").unwrap_err();
        assert!(!problem.contains("hunter"), "{problem}");
    }

    #[test]
    fn a_url_without_a_user_is_rejected() {
        for url in ["", "db", "nats://db:4222", "nats://@db", "nats://db/a@b", "nats://:p@db"] {
            assert!(with_password(url, "p").is_err(), "{url}");
        }
    }
}
