//! A service in a hundred lines: it implements [`Service`], and [`main`] runs it with everything that all services have.
//!
//! - [`Context`] connects to what the service uses, and creates caches, feeds and consumers.
//! - `serve` runs the servers, the relay, the workers and the health checks; the other commands of the command line work
//!   without servers.
//! - [`contracts`] generates the files that describe the service: OpenAPI, AsyncAPI, JSON Schemas, settings.
//! - [`main_all`] runs several services in one process.

mod access;
mod checks;
mod cli;
mod context;
pub mod contracts;
mod events;
mod host;
mod in_process;
mod live;
pub mod output;
mod ports;
mod process;
mod scope;
mod serve;
mod service;
mod settings;
mod upstream;
pub mod watch;
mod worker;

pub use axum::extract::FromRef;
pub use checks::check_schema;
pub use cli::main;
pub use context::Context;
pub use events::EventSet;
pub use host::{ErasedService, erased, main_all};
pub use kennel_auth::AccessRules;
pub use kennel_core::Principal;
pub use kennel_grpc::GrpcServer;
pub use kennel_net::RequestContext;
pub use kennel_storage::Migrations;
pub use kennel_telemetry::metrics::BuildInfo;
pub use kennel_telemetry::propagation::current as current_trace;
pub use serve::http_app;
pub use service::{NoCommand, Service, Uses};
pub use settings::{ProcessSettings, ProgramSettings, ServiceSettings, StandardSettings};
pub use upstream::call_failed;
pub use utoipa_axum::router::OpenApiRouter;
pub use utoipa_axum::routes;
pub use worker::Worker;

/// The allocator of every program that links this crate with the feature `mimalloc`.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The test that the committed contracts of a service are those of the code, and that all its routes have access rules. `$root` is
/// the path from its crate to the repository. `UPDATE=1` writes the committed files instead; so does `make generate`.
#[macro_export]
macro_rules! contract_test {
    ($service:ty, $root:literal) => {
        #[cfg(test)]
        mod contracts {
            #[test]
            fn committed_files_match_the_code() {
                let root = concat!(env!("CARGO_MANIFEST_DIR"), "/", $root);
                $crate::contracts::check::<$service>(root, env!("CARGO_PKG_VERSION")).unwrap();
            }
        }
    };
}

/// The build of the calling crate, for [`main`]: its version, and the commit if the variable `GIT_SHA` was set.
#[macro_export]
macro_rules! build_info {
    ($name:expr) => {
        $crate::BuildInfo { service: $name, version: env!("CARGO_PKG_VERSION"), git_sha: option_env!("GIT_SHA") }
    };
}
