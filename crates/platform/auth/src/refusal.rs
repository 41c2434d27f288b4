//! Why credentials are refused.

use kennel_core::BoxError;
use kennel_telemetry::metrics::Label;

/// Why a request's credentials are refused. Each reason has a code of its own, in the problem document over HTTP and in
/// `google.rpc.ErrorInfo` over gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{}", self.detail())]
pub enum Refusal {
    /// There are none.
    Missing,
    /// They cannot be parsed, or a claim that must be there is missing.
    Malformed,
    /// The token has no signature.
    Unsigned,
    /// The algorithm is not one of the issuer's, or not that of the key.
    WrongAlgorithm,
    /// The token is of another kind, such as an ID token.
    WrongType,
    /// The issuer has no key with this id.
    UnknownKey,
    /// The signature is not that of the key.
    BadSignature,
    /// Another issuer has issued the token.
    WrongIssuer,
    /// The token is for another service.
    WrongAudience,
    /// Its time has passed.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// No API key is equal.
    UnknownApiKey,
}

impl Refusal {
    /// Every reason, for documentation and tests.
    pub const ALL: [Self; 12] = [
        Self::Missing,
        Self::Malformed,
        Self::Unsigned,
        Self::WrongAlgorithm,
        Self::WrongType,
        Self::UnknownKey,
        Self::BadSignature,
        Self::WrongIssuer,
        Self::WrongAudience,
        Self::Expired,
        Self::NotYetValid,
        Self::UnknownApiKey,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        self.texts().0
    }

    /// What is wrong, for the caller: never something of the token.
    pub const fn detail(self) -> &'static str {
        self.texts().1
    }

    const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Missing => ("unauthenticated", "the request has no credentials"),
            Self::Malformed => ("malformed", "the token is malformed"),
            Self::Unsigned => ("unsigned", "the token is not signed"),
            Self::WrongAlgorithm => ("wrong_algorithm", "the algorithm of the token is not accepted"),
            Self::WrongType => ("wrong_type", "the token is not an access token"),
            Self::UnknownKey => ("unknown_key", "the key of the token is unknown"),
            Self::BadSignature => ("bad_signature", "the signature of the token is not valid"),
            Self::WrongIssuer => ("wrong_issuer", "the token is from another issuer"),
            Self::WrongAudience => ("wrong_audience", "the token is for another audience"),
            Self::Expired => ("expired", "the token has expired"),
            Self::NotYetValid => ("not_yet_valid", "the token is not valid yet"),
            Self::UnknownApiKey => ("unknown_api_key", "the api key is unknown"),
        }
    }
}

impl Label for Refusal {
    fn as_str(self) -> &'static str {
        self.code()
    }
}

/// Why a request could not be authenticated.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Its credentials are refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The keys of the issuer cannot be read, and none were read before.
    #[error("the keys of the issuer are unavailable")]
    Unavailable(#[source] BoxError),
}

impl AuthError {
    /// The reason, if the credentials are refused.
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal) => Some(*refusal),
            Self::Unavailable(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_code_of_its_own() {
        let codes: BTreeSet<_> = Refusal::ALL.into_iter().map(Refusal::code).collect();
        assert_eq!(codes.len(), Refusal::ALL.len());
    }
}
