//! What tests of every crate share: real-service discovery, isolated databases, conformance suites, fault injection,
//! a dog API that can misbehave, and service processes to start and kill.

pub mod backends;
#[cfg(feature = "clickhouse")]
pub mod clickhouse;
pub mod conformance;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub mod database;
pub mod fault;
pub mod probe;
pub mod process;
pub mod spans;
pub mod upstream;

pub use backends::Backend;
#[cfg(feature = "clickhouse")]
pub use clickhouse::TestClickHouse;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub use database::TestDatabase;
pub use fault::{FaultProxy, Mode};
pub use process::ServiceProcess;
pub use upstream::{Behaviour, Upstream};
