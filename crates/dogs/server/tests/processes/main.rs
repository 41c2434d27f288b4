//! The program as users run it: real processes over folders of their own, served, asked, stopped and killed.

#![expect(unreachable_pub, clippy::unwrap_used, reason = "a test that cannot go on has failed, and nobody reaches in")]

mod cli;
mod config;
mod crash;
mod failing;
mod grpc;
mod imports;
mod load;
#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql", feature = "clickhouse"))]
mod moving;
mod nginx;
mod otel;
mod rpc_compression;
mod rpc_streams;
mod stop;
mod story;
#[path = "../support/mod.rs"]
mod support;
mod unreachable;

use support::home;
