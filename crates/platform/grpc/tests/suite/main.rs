//! Tests of a real server over real connections.

#![expect(clippy::unwrap_used, reason = "a test fails at the first error")]

mod access;
mod calls;
mod client;
mod compression;
mod server;
mod support;
mod tls;
mod trace;
