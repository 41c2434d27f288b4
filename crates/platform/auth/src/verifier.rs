//! Verifies access tokens: JSON Web Tokens in compact form (RFC 7519), by the rules of RFC 8725 and RFC 9068.

use std::sync::Arc;
use std::time::Duration;

use kennel_core::{Clock, Principal, Timestamp};
use moka::sync::Cache;
use tokio::time::Instant;

use crate::algorithm::Algorithm;
use crate::claims::{Claims, Header, Parts};
use crate::key_set::{KeySet, Keys};
use crate::refusal::{AuthError, Refusal};

/// The type of access tokens (RFC 9068).
pub const ACCESS_TOKEN: &str = "at+jwt";

/// Capacity of the tokens that are remembered, in bytes.
const SIGNED_BYTES: u64 = 4 * 1024 * 1024;
/// Approximate size of one, in addition to its text.
const OVERHEAD_BYTES: usize = 192;
/// How long one is remembered. Most tokens are valid for less.
const SIGNED_TTL: Duration = Duration::from_mins(5);

/// What tokens have to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRules {
    /// The issuer, which `iss` has to be.
    pub issuer: String,
    /// The audience, which `aud` has to contain.
    pub audience: String,
    /// The algorithms that the issuer may use.
    pub algorithms: Vec<Algorithm>,
    /// The type, which `typ` has to be, such as [`ACCESS_TOKEN`].
    pub token_type: String,
    /// How far clocks may differ.
    pub leeway: Duration,
}

/// Verifies tokens of one issuer. Clones share its keys.
#[derive(Clone)]
pub struct Verifier {
    rules: Arc<TokenRules>,
    keys: Arc<KeySet>,
    clock: Arc<dyn Clock>,
    /// Tokens whose signatures are valid, with the keys that say so: a signature costs more than everything else of a small
    /// request, and a caller sends the same token for minutes.
    signed: Cache<String, Arc<Keys>>,
}

/// Who has sent a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The subject of the token, with the scopes of its claim `scope`.
    pub principal: Principal,
    /// When the token expires, without leeway.
    pub expires_at: Timestamp,
}

impl Verifier {
    /// Accepts tokens that follow `rules` and are signed with one of `keys`.
    pub fn new(rules: TokenRules, keys: KeySet, clock: Arc<dyn Clock>) -> Self {
        let signed = Cache::builder()
            .max_capacity(SIGNED_BYTES)
            .weigher(|token: &String, _| u32::try_from(token.len().saturating_add(OVERHEAD_BYTES)).unwrap_or(u32::MAX))
            .time_to_live(SIGNED_TTL)
            .build();
        Self { rules: Arc::new(rules), keys: Arc::new(keys), clock, signed }
    }

    /// Verifies a token, without the word `Bearer`. Reads the keys of the issuer if it has to; see [`KeySet`].
    ///
    /// If several things are wrong, the reason is the first one in this order: form, algorithm, type, key, signature, issuer,
    /// audience, times.
    pub async fn verify(&self, token: &str) -> Result<Caller, AuthError> {
        let parts = Parts::of(token)?;
        let algorithm = self.algorithm(&parts.header)?;
        let signature = parts.signature()?;
        let kid = parts.header.kid.as_deref();
        let keys = self.keys.with_key(kid).await?;
        let mut candidates = keys.with_id(kid).filter(|key| key.algorithm == algorithm).peekable();
        if candidates.peek().is_none() {
            return Err(Refusal::WrongAlgorithm.into());
        }
        // Keys that were read again decide anew.
        if !self.signed.get(token).is_some_and(|known| Arc::ptr_eq(&known, &keys)) {
            if !candidates.any(|key| key.verifies(parts.message, &signature)) {
                return Err(Refusal::BadSignature.into());
            }
            self.signed.insert(token.to_owned(), Arc::clone(&keys));
        }
        Ok(self.caller(&parts.claims()?)?)
    }

    /// When the token of this caller is not accepted any more; `None` if that is too far in the future.
    pub fn end_of(&self, caller: &Caller) -> Option<Instant> {
        let valid = caller.expires_at.saturating_add(self.rules.leeway).since(self.clock.now());
        Instant::now().checked_add(valid)
    }

    /// The algorithm of the token, if the issuer may use it and the token is of the right type.
    fn algorithm(&self, header: &Header) -> Result<Algorithm, Refusal> {
        if header.alg.eq_ignore_ascii_case("none") {
            return Err(Refusal::Unsigned);
        }
        let accepted = Algorithm::named(&header.alg).filter(|algorithm| self.rules.algorithms.contains(algorithm));
        let algorithm = accepted.ok_or(Refusal::WrongAlgorithm)?;
        let typ = header.typ.as_deref().ok_or(Refusal::WrongType)?;
        if is_type(typ, &self.rules.token_type) { Ok(algorithm) } else { Err(Refusal::WrongType) }
    }

    fn caller(&self, claims: &Claims) -> Result<Caller, Refusal> {
        if claims.iss != self.rules.issuer {
            return Err(Refusal::WrongIssuer);
        }
        if !claims.aud.contains(&self.rules.audience) {
            return Err(Refusal::WrongAudience);
        }
        let (now, leeway) = (self.clock.now(), self.rules.leeway);
        let expires_at = time(claims.exp);
        if now >= expires_at.saturating_add(leeway) {
            return Err(Refusal::Expired);
        }
        if claims.nbf.is_some_and(|nbf| now.saturating_add(leeway) < time(nbf)) {
            return Err(Refusal::NotYetValid);
        }
        let scopes = claims.scope.as_deref().unwrap_or_default().split_ascii_whitespace();
        Ok(Caller { principal: Principal::new(claims.sub.as_str(), scopes), expires_at })
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// Media types are case-insensitive, and `application/` may be left out (RFC 7515, section 4.1.9).
fn is_type(typ: &str, expected: &str) -> bool {
    fn short(typ: &str) -> &str {
        match typ.split_at_checked("application/".len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
            _ => typ,
        }
    }
    short(typ).eq_ignore_ascii_case(short(expected))
}

/// A time in seconds, or the nearest one that can be represented.
fn time(seconds: i64) -> Timestamp {
    const EPOCH: Timestamp = match Timestamp::from_millis(0) {
        Ok(epoch) => epoch,
        Err(_) => unreachable!(),
    };
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { EPOCH.saturating_sub(distance) } else { EPOCH.saturating_add(distance) }
}
