//! The HTTP API over a running service: every route, and every way it refuses.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod dogs_routes;
mod events;
mod import;
mod photos;
mod service;
#[path = "../support/mod.rs"]
mod support;
