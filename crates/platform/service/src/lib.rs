//! A service in a hundred lines: it implements [`Service`], and [`main`] runs it with everything that all services have.
//!
//! - [`Context`] connects to what the service uses, and creates caches, feeds and consumers.
//! - `serve` runs the servers, the relay, the workers and the health checks; the other commands of the command line work
//!   without servers.
//! - [`contracts`] generates the files that describe the service: OpenAPI, AsyncAPI, JSON Schemas, settings.
//! - [`main_all`] runs several services in one process.

mod checks;
mod cli;
mod context;
pub mod contracts;
mod events;
mod host;
mod in_process;
pub mod output;
mod ports;
mod process;
mod scope;
mod serve;
mod service;
mod settings;
pub mod watch;
mod worker;

pub use checks::check_schema;
pub use cli::main;
pub use context::Context;
pub use events::EventSet;
pub use host::{ErasedService, erased, main_all};
pub use kennel_core::Principal;
pub use kennel_net::RequestContext;
pub use kennel_telemetry::metrics::BuildInfo;
pub use kennel_telemetry::propagation::current as current_trace;
pub use serve::http_app;
pub use utoipa_axum::router::OpenApiRouter;

pub use service::{NoCommand, Service, Uses};
pub use settings::{ProcessSettings, ProgramSettings, ServiceSettings, StandardSettings};
pub use worker::Worker;

/// The build of the calling crate, for [`main`]: its version, and the commit if the variable `GIT_SHA` was set.
#[macro_export]
macro_rules! build_info {
    ($name:expr) => {
        $crate::BuildInfo { service: $name, version: env!("CARGO_PKG_VERSION"), git_sha: option_env!("GIT_SHA") }
    };
}
