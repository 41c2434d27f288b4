//! The binary as users run it: real processes in temporary directories, which are called, stopped and killed.

#![expect(unreachable_pub, clippy::unwrap_used, reason = "a panic fails the test, and tests export nothing")]

mod cli;
mod config;
mod crash;
mod failing;
mod grpc;
mod imports;
mod load;
mod nginx;
mod otel;
mod rpc_compression;
mod rpc_streams;
mod stop;
#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql", feature = "clickhouse"))]
mod store_copy;
mod story;
#[path = "../support/mod.rs"]
mod support;
mod unreachable;

use support::service_dir;
