//! What every Prometheus metric of the workspace shares: buckets, labels, histograms, the registry and its text forms.
//!
//! Labels come from enums or other `&'static str`, never from input: each new value is a new series for ever.

mod exposition;
mod latency;
pub mod names;
mod openmetrics;
mod runtime;

use prometheus::{IntGaugeVec, Opts, Registry};
use tokio::runtime::Handle;

pub use exposition::Format;
pub use latency::{LatencyHistogram, LatencySeries};

/// Upper bounds, in seconds, of every histogram of a duration.
pub const LATENCY_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Value of the label `route` of HTTP requests that no route takes.
pub const NO_ROUTE: &str = "unmatched";
/// Value of the labels `service` and `method` of gRPC calls of methods that do not exist.
pub const NO_METHOD: &str = "unknown";
/// Value of the label `fault` of gRPC calls by which the service says that it failed, not its caller.
pub const SERVER_FAULT: &str = "server";

/// A value of a metric's label: one of a few known words.
pub trait Label: Copy {
    /// The word, in `snake_case`.
    fn as_str(self) -> &'static str;
}

/// How a call ended, where nothing finer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did what was asked.
    Ok,
    /// It did not.
    Error,
}

impl Outcome {
    /// The outcome of a call that answered `result`.
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

/// What was built, for `build_info` and `/version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct BuildInfo {
    /// Name of the service.
    pub service: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The commit it was built from, where the build was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_sha: Option<&'static str>,
}

/// A registry with the metrics of the process: `process_*`.
pub fn registry() -> Registry {
    let registry = Registry::new();
    #[cfg(target_os = "linux")]
    {
        let process = prometheus::process_collector::ProcessCollector::for_self();
        // A new registry has no such names yet, so this cannot be refused.
        drop(registry.register(Box::new(process)));
    }
    registry
}

/// Adds `build_info{service,version,git_sha} 1`.
pub fn register_build(registry: &Registry, build: &BuildInfo) -> Result<(), prometheus::Error> {
    let opts = Opts::new(names::BUILD_INFO, "What is running; always 1");
    let info = IntGaugeVec::new(opts, &["service", "version", "git_sha"])?;
    info.with_label_values(&[build.service, build.version, build.git_sha.unwrap_or("")]).set(1);
    registry.register(Box::new(info))
}

/// Adds `tokio_*` about the runtime behind `handle`, read anew at each scrape.
pub fn register_runtime(registry: &Registry, handle: &Handle) -> Result<(), prometheus::Error> {
    registry.register(Box::new(runtime::RuntimeCollector::new(handle)?))
}

/// Every metric of the registry, in the classic text form.
pub fn encode(registry: &Registry) -> String {
    Format::Text.encode(registry)
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
