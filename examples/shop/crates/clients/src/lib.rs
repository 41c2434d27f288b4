//! The clients of other services: each implements the trait of its document over HTTP.

pub mod payments;
