//! The whole crate over real sockets.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod bodies;
mod client;
mod harness;
mod server;
mod sys;
mod unread;
