//! The gateway of a system: one address for its services. Routes, limits and upstreams are in a file; callers are authenticated
//! by `kennel-auth`; requests and responses stream through.

mod access;
mod body;
mod coalesce;
mod config;
mod description;
mod gateway;
mod headers;
mod limit;
mod metrics;
mod path;
mod refusal;
mod routes;
mod service;
mod timeout;
mod tunnel;
mod upstream;

pub use config::{ApiGatewayConfig, GatewayConfig};
pub use service::ApiGateway;

kennel_service::contract_test!(crate::ApiGateway, "../../..");
