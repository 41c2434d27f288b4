//! Tests of authentication, with the tokens of another library and with everything that can be wrong with a token.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod gate;
mod issuer;
mod key_sets;
mod refused;
