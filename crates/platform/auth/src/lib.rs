//! Who calls a service, and what they may do.
//!
//! [`Verifier`] checks JSON Web Tokens with the keys that their issuer publishes; [`ApiKeys`] are for callers without an
//! issuer. [`AccessRules`] say which scope each route of HTTP and each method of gRPC needs. [`Gate`] is all of them behind the
//! port [`AccessCheck`](kennel_net::AccessCheck) that the servers ask before a handler runs.

pub mod algorithm;
pub mod api_keys;
mod claims;
pub mod config;
pub mod gate;
pub mod jwk;
pub mod key_set;
pub mod metrics;
pub mod refusal;
pub mod rules;
pub mod verifier;

pub use algorithm::Algorithm;
pub use api_keys::ApiKeys;
pub use config::{AuthConfig, Mode};
pub use gate::Gate;
pub use jwk::{Jwk, JwkSet};
pub use key_set::{KeySet, KeySource};
pub use metrics::AuthMetrics;
pub use refusal::{AuthError, Refusal};
pub use rules::{Access, AccessRules};
pub use verifier::{Caller, TokenRules, Verifier};
