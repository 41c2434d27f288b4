//! Connection URLs of database servers.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// The connection URL of a database, including the password, such as `postgres://user:password@host:5432/database`.
///
/// It prints and serializes as `***`, and its memory is wiped when it is dropped. It has no default.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Dsn(SecretString);

impl Dsn {
    /// The URL as text, including the password.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<SecretString> for Dsn {
    fn from(text: SecretString) -> Self {
        Self(text)
    }
}

impl From<&str> for Dsn {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Dsn {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl PartialEq for Dsn {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Dsn {}

impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Dsn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dsn_is_never_printed() {
        let dsn = Dsn::from("postgres://kennel:hunter2@db/dogs");
        for shown in [format!("{dsn:?}"), serde_json::to_string(&dsn).unwrap()] {
            assert!(!shown.contains("hunter2") && !shown.contains("db"), "{shown}");
        }
        assert_eq!(dsn.expose(), "postgres://kennel:hunter2@db/dogs");
    }
}
