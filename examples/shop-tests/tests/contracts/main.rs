//! The code that `kennel` generates for the documents of `examples/shop`, with an implementation in memory, and the dashboards of
//! its programs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dashboards;
mod drivers;
mod events;
mod orders;
mod payments;
