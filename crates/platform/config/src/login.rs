//! Passwords that are set apart from the address that they belong to.

use std::fmt::Write as _;

use crate::Secret;

impl Secret {
    /// The address, or several with commas between them, with `password` as that of each one's user; unchanged where there
    /// is none. A password of any characters can be set apart from its address, where most would have to be percent-encoded.
    ///
    /// Fails when an address names no user, or has another password. The reason quotes neither.
    pub fn with_password(&self, password: Option<&Self>) -> Result<Self, &'static str> {
        let Some(password) = password.map(Self::expose).filter(|password| !password.is_empty()) else {
            return Ok(self.clone());
        };
        let urls = self.expose().split(',').map(|url| with_password(url.trim(), password));
        Ok(urls.collect::<Result<Vec<_>, _>>()?.join(",").into())
    }
}

/// The URL with `password` as that of its user.
fn with_password(url: &str, password: &str) -> Result<String, &'static str> {
    let authority = url.find("://").ok_or("must be a URL, such as scheme://user@host")? + 3;
    let end = url[authority..].find(['/', '?', '#']).map_or(url.len(), |length| authority + length);
    let at = authority + url[authority..end].rfind('@').ok_or("must name a user, whose password is set apart")?;
    let (user, known) = match url[authority..at].split_once(':') {
        None => (&url[authority..at], None),
        Some((user, known)) => (user, Some(known)),
    };
    if user.is_empty() {
        return Err("must name a user, whose password is set apart");
    }
    let encoded = encoded(password);
    if known.is_some_and(|known| known != password && known != encoded) {
        return Err("has a password of its own, and another one is set apart");
    }
    Ok(format!("{}{user}:{encoded}{}", &url[..authority], &url[at..]))
}

/// The text, percent-encoded but for what stands for itself everywhere in a URL.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            // Writing to a string does not fail.
            write!(encoded, "%{byte:02X}").ok();
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_of_any_characters_is_taken() {
        let url = with_password("postgres://kennel@db:5432/dogs?sslmode=prefer", "p@ss/w#1%2$x: \u{e9}").unwrap();
        assert_eq!(url, "postgres://kennel:p%40ss%2Fw%231%252%24x%3A%20%C3%A9@db:5432/dogs?sslmode=prefer");
        let urls = Secret::from("nats://a@b:4222, nats://a@c");
        assert_eq!(urls.with_password(Some(&"%".into())).unwrap().expose(), "nats://a:%25@b:4222,nats://a:%25@c");
        for none in [None, Some(&"".into())] {
            assert_eq!(urls.with_password(none).unwrap().expose(), urls.expose());
        }
    }

    #[test]
    fn one_in_the_url_has_to_be_the_same() {
        for url in ["amqp://a:p%40@b/%2f", "amqp://a:p@@b/%2f"] {
            assert_eq!(with_password(url, "p@").unwrap(), "amqp://a:p%40@b/%2f");
        }
        let problem = with_password("amqp://a:hunter2@b", "hunter3").unwrap_err();
        assert!(!problem.contains("hunter"), "{problem}");
    }

    #[test]
    fn an_address_without_a_user_is_refused() {
        for url in ["", "db", "nats://db:4222", "nats://@db", "nats://db/a@b", "nats://:p@db"] {
            assert!(with_password(url, "p").is_err(), "{url}");
        }
    }
}
