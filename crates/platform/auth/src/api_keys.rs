//! API keys, for callers without an issuer of tokens.

use kennel_config::Secret;
use kennel_core::Principal;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::refusal::Refusal;

/// Longer keys are refused before they are hashed.
const MAX_BYTES: usize = 512;

/// The callers that have an API key. Only hashes are configured: a key is random, so that a fast hash is enough.
///
/// An entry is a subject, the SHA-256 of its key in hexadecimal, and its scopes, separated by spaces. Entries are separated by
/// semicolons or lines; a line that begins with `#` is a comment. The subject of the caller begins with `key:`, so that it is not
/// that of a token.
#[derive(Debug, Clone, Default)]
pub struct ApiKeys(Vec<Entry>);

#[derive(Debug, Clone)]
struct Entry {
    hash: [u8; 32],
    principal: Principal,
}

/// An entry is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidApiKeys {
    /// It cannot be parsed.
    #[error("entry {0} must be a subject, the SHA-256 of its key in hexadecimal, and its scopes")]
    Malformed(usize),
    /// Its hash is that of the empty string: the key was not set when it was hashed.
    #[error("entry {0} has the hash of an empty key")]
    Empty(usize),
    /// An earlier entry has the same key, so that it would depend on the order who the caller is.
    #[error("entry {0} has the key of an earlier entry")]
    Repeated(usize),
}

impl ApiKeys {
    /// Parses the setting. The error contains nothing of it.
    pub fn parse(entries: &Secret) -> Result<Self, InvalidApiKeys> {
        let lines = entries.expose().lines().filter(|line| !line.trim_start().starts_with('#'));
        let entries = lines.flat_map(|line| line.split(';')).map(str::trim).filter(|entry| !entry.is_empty());
        let mut accepted: Vec<Entry> = Vec::new();
        for (entry, number) in entries.zip(1..) {
            let entry = Entry::parse(entry).ok_or(InvalidApiKeys::Malformed(number))?;
            if entry.hash == *Sha256::digest(b"") {
                return Err(InvalidApiKeys::Empty(number));
            }
            if accepted.iter().any(|earlier| earlier.hash == entry.hash) {
                return Err(InvalidApiKeys::Repeated(number));
            }
            accepted.push(entry);
        }
        Ok(Self(accepted))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The caller with this key. Takes the same time for every key of a length, whether one is equal or not.
    pub fn find(&self, key: &[u8]) -> Result<&Principal, Refusal> {
        if key.is_empty() || key.len() > MAX_BYTES {
            return Err(Refusal::UnknownApiKey);
        }
        let hash = Sha256::digest(key);
        let equal =
            self.0.iter().fold(
                None,
                |found, entry| {
                    if bool::from(entry.hash.ct_eq(&hash)) { Some(&entry.principal) } else { found }
                },
            );
        equal.ok_or(Refusal::UnknownApiKey)
    }
}

impl Entry {
    fn parse(entry: &str) -> Option<Self> {
        let mut words = entry.split_ascii_whitespace();
        let (subject, hash) = (words.next()?, words.next()?);
        Some(Self { hash: of_hex(hash)?, principal: Principal::new(format!("key:{subject}"), words) })
    }
}

fn of_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Option<Vec<_>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // printf %s k1 | sha256sum
    const K1: &str = "0b3c14b4f5dd42ec0a8d3a2c9ff1d3e1f3b9a1d2c9ce5cb0e5e3c6f4a1a2b3c4";

    fn hex(key: &str) -> String {
        format!("{:x}", Sha256::digest(key))
    }

    #[test]
    fn each_key_is_a_caller_with_scopes() {
        let text = format!(
            "# people; eve {}\nann {} dogs:read dogs:write;bob {}\n\n",
            hex("k3"),
            hex("k1"),
            hex("k2").to_uppercase()
        );
        let keys = ApiKeys::parse(&text.into()).unwrap();
        assert_eq!(keys.find(b"k1"), Ok(&Principal::new("key:ann", ["dogs:read", "dogs:write"])));
        assert_eq!(keys.find(b"k2"), Ok(&Principal::new("key:bob", [""; 0])));
        for other in [&b""[..], b"k3", hex("k1").as_bytes(), &[b'k'; MAX_BYTES + 1]] {
            assert_eq!(keys.find(other), Err(Refusal::UnknownApiKey));
        }
        assert!(!keys.is_empty() && ApiKeys::parse(&"".into()).unwrap().is_empty());
    }

    #[test]
    fn an_invalid_entry_is_named_without_its_content() {
        for bad in ["ann", "ann secret", &K1[..63], &format!("ann {}", &K1[..62]), &format!("ann {}zz", &K1[..62])] {
            let error = ApiKeys::parse(&format!("bob {K1}\n{bad}").as_str().into()).unwrap_err();
            assert_eq!(error, InvalidApiKeys::Malformed(2));
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn empty_and_repeated_keys_are_refused() {
        let parse = |text: String| ApiKeys::parse(&text.into()).map(drop);
        assert_eq!(parse(format!("ann {K1} dogs:read; bob {}", hex(""))), Err(InvalidApiKeys::Empty(2)));
        let again = format!("ann {K1} dogs:read\nbob {} dogs:write", K1.to_uppercase());
        assert_eq!(parse(again), Err(InvalidApiKeys::Repeated(2)));
        let rotating = format!("ann {K1} dogs:read\nann {} dogs:read", hex("k2"));
        assert_eq!(parse(rotating), Ok(()), "a caller may have several keys");
    }
}
