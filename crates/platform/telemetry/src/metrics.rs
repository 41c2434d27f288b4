//! Common code of all Prometheus metrics: buckets, labels, histograms, the registry and the exposition formats.
//!
//! Label values come from enums or other `&'static str`, never from input: each new value creates a permanent series.

mod exposition;
mod latency;
pub mod names;
mod openmetrics;
mod runtime;

use prometheus::{IntGaugeVec, Opts, Registry};
use tokio::runtime::Handle;

pub use exposition::Format;
pub use latency::{LatencyHistogram, LatencySeries};

/// Upper bounds, in seconds, of all duration histograms.
pub const LATENCY_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Value of the label `route` for HTTP requests without a matching route.
pub const NO_ROUTE: &str = "unmatched";
/// Value of the labels `service` and `method` for gRPC calls of unknown methods.
pub const NO_METHOD: &str = "unknown";
/// Value of the label `fault` for gRPC calls that failed because of the service, not of the caller.
pub const SERVER_FAULT: &str = "server";

/// A metric label with a fixed set of values.
pub trait Label: Copy {
    /// Returns the value, in `snake_case`.
    fn as_str(self) -> &'static str;
}

/// Outcome of a call, without further detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Ok,
    /// It failed.
    Error,
}

impl Outcome {
    /// Returns the outcome of a call with this result.
    pub const fn of<T, E>(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Ok } else { Self::Error }
    }
}

impl Label for Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }
}

/// Build information, for `build_info` and `/version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct BuildInfo {
    /// Name of the service.
    pub service: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The commit, if the build knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_sha: Option<&'static str>,
}

/// Creates a registry with the metrics of the process: `process_*`.
pub fn registry() -> Registry {
    let registry = Registry::new();
    #[cfg(target_os = "linux")]
    {
        let process = prometheus::process_collector::ProcessCollector::for_self();
        // A new registry has no such names, so this cannot fail.
        drop(registry.register(Box::new(process)));
    }
    registry
}

/// Adds `build_info{service,version,git_sha} 1`.
pub fn register_build(registry: &Registry, build: &BuildInfo) -> Result<(), prometheus::Error> {
    let opts = Opts::new(names::BUILD_INFO, "Version of the running service; always 1");
    let info = IntGaugeVec::new(opts, &["service", "version", "git_sha"])?;
    info.with_label_values(&[build.service, build.version, build.git_sha.unwrap_or("")]).set(1);
    registry.register(Box::new(info))
}

/// Adds `tokio_*` of the runtime of `handle`, read at each scrape.
pub fn register_runtime(registry: &Registry, handle: &Handle) -> Result<(), prometheus::Error> {
    registry.register(Box::new(runtime::RuntimeCollector::new(handle)?))
}

/// Encodes all metrics of the registry in the classic text format.
pub fn encode(registry: &Registry) -> String {
    Format::Text.encode(std::slice::from_ref(registry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_are_pinned() {
        let registry = registry();
        let build = BuildInfo { service: "dogs", version: "1.2.3", git_sha: Some("abc") };
        register_build(&registry, &build).unwrap();
        register_runtime(&registry, &Handle::current()).unwrap();
        let text = encode(&registry);
        assert!(text.contains(r#"build_info{git_sha="abc",service="dogs",version="1.2.3"} 1"#), "{text}");
        for name in ["tokio_workers 1", "tokio_alive_tasks ", "tokio_global_queue_depth ", "tokio_busy_seconds_total "]
        {
            assert!(text.contains(name), "{name} in {text}");
        }
        #[cfg(target_os = "linux")]
        for name in ["process_cpu_seconds_total ", "process_resident_memory_bytes ", "process_open_fds "] {
            assert!(text.contains(name), "{name} in {text}");
        }
    }

    #[test]
    fn a_name_is_registered_once() {
        let (registry, build) = (registry(), BuildInfo { service: "a", version: "1", git_sha: None });
        register_build(&registry, &build).unwrap();
        assert!(register_build(&registry, &build).is_err());
    }

    #[test]
    fn buckets_grow() {
        assert!(LATENCY_BUCKETS.is_sorted_by(|a, b| a < b));
    }
}
