//! A real server, called over real connections.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod calls;
mod compression;
mod server;
mod support;
mod trace;
