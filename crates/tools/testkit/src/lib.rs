//! Shared test utilities: discovery of real servers, isolated databases, conformance suites, fault injection, a fake
//! dog API that can misbehave, and service processes to start and kill.

#[cfg(feature = "access")]
pub mod access;
pub mod backends;
#[cfg(any(feature = "nats", feature = "kafka", feature = "rabbitmq"))]
pub mod broker_namespace;
#[cfg(feature = "s3")]
pub mod bucket;
mod cases;
pub mod certificates;
#[cfg(feature = "clickhouse")]
pub mod clickhouse;
pub mod conformance;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub mod database;
pub mod fault;
pub mod gifs;
pub mod make;
pub mod nginx;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod probe;
pub mod process;
#[cfg(feature = "prometheus")]
pub mod prometheus;
pub mod server;
pub mod spans;
pub mod upstream;

pub use backends::Backend;
#[cfg(feature = "s3")]
pub use bucket::TestBucket;
#[cfg(feature = "clickhouse")]
pub use clickhouse::TestClickHouse;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub use database::TestDatabase;
pub use fault::{FaultProxy, Mode};
pub use nginx::Nginx;
#[cfg(feature = "otlp")]
pub use otlp::Collector;
pub use process::ServiceProcess;
pub use server::{PrivateServer, Server};
pub use upstream::{Behaviour, Upstream};
