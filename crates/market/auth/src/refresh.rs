//! Refresh tokens.
//!
//! A token names its session and its generation, with a code that only this service can compute. So a token needs no storage: the
//! store has only the generation that is valid. The successor of a token is the same for every replica, and a token that was
//! replaced can be distinguished from one that was invented.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kennel_config::Secret;
use uuid::Uuid;

use crate::sealing::Keys;

/// Marks the token for programs that search for secrets.
const PREFIX: &str = "krt_";
const MESSAGE_BYTES: usize = 24;

/// What a refresh token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshToken {
    /// Its session.
    pub session: Uuid,
    /// Its number in the session.
    pub generation: i64,
}

impl RefreshToken {
    /// The text that the client gets.
    pub fn encode(self, keys: &Keys) -> Secret {
        let message = self.message();
        let code = keys.code(&message);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode([message.as_slice(), code.as_ref()].concat())).into()
    }

    /// Reads a token; `None` if this service has not created it.
    pub fn decode(text: &Secret, keys: &Keys) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.expose().strip_prefix(PREFIX)?).ok()?;
        let (message, code) = bytes.split_first_chunk::<MESSAGE_BYTES>()?;
        if !keys.is_code(message, code) {
            return None;
        }
        let (session, generation) = message.split_first_chunk::<16>()?;
        let session = Uuid::from_bytes(*session);
        Some(Self { session, generation: i64::from_be_bytes(generation.try_into().ok()?) })
    }

    fn message(self) -> [u8; MESSAGE_BYTES] {
        let mut message = [0; MESSAGE_BYTES];
        message[..16].copy_from_slice(self.session.as_bytes());
        message[16..].copy_from_slice(&self.generation.to_be_bytes());
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tokens_of_the_service_are_read() {
        let keys = Keys::derive(&"0123456789abcdef0123456789abcdef".into()).unwrap();
        let token = RefreshToken { session: Uuid::from_u128(7), generation: 3 };
        let text = token.encode(&keys);
        assert_eq!(RefreshToken::decode(&text, &keys), Some(token));
        assert_eq!(token.encode(&keys).expose(), text.expose(), "every replica creates the same successor");
        let next = RefreshToken { generation: 4, ..token }.encode(&keys);
        let other = Keys::derive(&"1123456789abcdef0123456789abcdef".into()).unwrap();
        assert_eq!(RefreshToken::decode(&text, &other), None);
        // The message of one with the code of the other.
        let forged = format!("{}{}", &next.expose()[..36], &text.expose()[36..]);
        for invalid in ["", "krt_", "krt_AAAA", &text.expose()[4..], &text.expose()[..70], &forged] {
            assert_eq!(RefreshToken::decode(&invalid.into(), &keys), None, "{invalid}");
        }
    }
}
