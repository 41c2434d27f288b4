//! The program in front of upstreams that answer what they got: the rules for requests, streams, limits, and restarts.

#![expect(clippy::unwrap_used, reason = "a test fails at the first error")]

mod access;
mod failures;
mod grpc;
mod limits;
mod rules;
#[cfg(feature = "redis")]
mod shared;
mod streams;
mod support;
