//! The parts of a token, as they are sent.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::Number;

use crate::refusal::Refusal;

/// Longer tokens are refused before they are decoded.
const MAX_BYTES: usize = 8 * 1024;
/// The longest subject; it becomes an attribute of spans.
const MAX_SUBJECT_BYTES: usize = 255;

/// A token in compact form, in its parts.
pub(crate) struct Parts<'a> {
    pub(crate) header: Header,
    /// What is signed: the header and the claims, as they were sent.
    pub(crate) message: &'a [u8],
    claims: &'a str,
    signature: &'a str,
}

/// The header, as far as it matters. The members that name a key or a URL of one (`jwk`, `jku`, `x5c`, `x5u`) are ignored: keys
/// come from the issuer only.
#[derive(Debug, Deserialize)]
pub(crate) struct Header {
    pub(crate) alg: String,
    pub(crate) typ: Option<String>,
    pub(crate) kid: Option<String>,
    /// Extensions that the receiver must understand; this one knows none.
    crit: Option<IgnoredAny>,
}

/// The claims, as far as they matter.
#[derive(Debug, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) sub: String,
    pub(crate) aud: Audience,
    #[serde(deserialize_with = "seconds")]
    pub(crate) exp: i64,
    #[serde(default, deserialize_with = "optional_seconds")]
    pub(crate) nbf: Option<i64>,
    pub(crate) scope: Option<String>,
}

/// One audience or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    pub(crate) fn contains(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Several(several) => several.iter().any(|one| one == audience),
        }
    }
}

impl<'a> Parts<'a> {
    /// Splits a token. Decodes its header only: the claims are not read before the signature is verified.
    pub(crate) fn of(token: &'a str) -> Result<Self, Refusal> {
        let is_compact = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if token.len() > MAX_BYTES || !token.bytes().all(is_compact) {
            return Err(Refusal::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(Refusal::Malformed)?;
        if claims.contains('.') {
            return Err(Refusal::Malformed);
        }
        let header: Header = decode(header)?;
        if header.crit.is_some() {
            return Err(Refusal::Malformed);
        }
        Ok(Self { header, message: message.as_bytes(), claims, signature })
    }

    pub(crate) fn signature(&self) -> Result<Vec<u8>, Refusal> {
        URL_SAFE_NO_PAD.decode(self.signature).map_err(|_| Refusal::Malformed)
    }

    pub(crate) fn claims(&self) -> Result<Claims, Refusal> {
        let claims: Claims = decode(self.claims)?;
        let is_printable = !claims.sub.is_empty() && !claims.sub.contains(char::is_control);
        if is_printable && claims.sub.len() <= MAX_SUBJECT_BYTES { Ok(claims) } else { Err(Refusal::Malformed) }
    }
}

fn decode<T: DeserializeOwned>(part: &str) -> Result<T, Refusal> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| Refusal::Malformed)
}

/// Seconds since 1970, which may have a fraction (RFC 7519, section 2). The fraction is dropped.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let number = Number::deserialize(deserializer)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a time that is too large for an integer becomes its largest one"
    )]
    let of_float = || number.as_f64().map(|seconds| seconds.floor() as i64);
    number.as_i64().or_else(of_float).ok_or_else(|| serde::de::Error::custom("not a time"))
}

fn optional_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    seconds(deserializer).map(Some)
}
