//! The HTTP API of a running service: every route and every error.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod dogs_routes;
mod events;
mod images;
mod import;
mod service;
#[path = "../support/mod.rs"]
mod support;
