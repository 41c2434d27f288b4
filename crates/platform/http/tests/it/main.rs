//! Tests of the crate over real sockets.
#![expect(clippy::unwrap_used, reason = "a test fails at the first error")]

mod access;
mod bodies;
mod context;
mod harness;
mod server;
mod sys;
mod tls;
mod unread;
