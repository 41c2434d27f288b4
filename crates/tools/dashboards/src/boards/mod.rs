//! All dashboards.

mod application;
mod brokers;
mod cache;
mod database;
mod market;
mod metrics;
mod slo;
mod tracing;

use crate::{Dashboard, Expr, Series, quantile};

pub use application::dashboard as application;

/// Every dashboard.
pub fn all() -> Vec<Dashboard> {
    vec![
        metrics::dashboard(),
        tracing::dashboard(),
        database::dashboard(),
        brokers::dashboard(),
        cache::dashboard(),
        market::dashboard(),
        slo::dashboard(),
    ]
}

/// The 50th, 95th and 99th percentiles.
fn quantiles(of: &Series) -> [(Expr, &'static str); 3] {
    [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")].map(|(q, legend)| (quantile(q, of.clone(), &[]), legend))
}
