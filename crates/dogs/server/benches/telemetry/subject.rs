//! The service, with telemetry or without.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use kennel_testkit::process::{Launch, ServiceProcess};
use tempfile::TempDir;

use crate::load::{self, Measured, Work};

/// Ticks per second of the processor times in `/proc`; the same on every common Linux.
const TICKS: u64 = 100;

/// A running service in a temporary directory.
pub(crate) struct Subject {
    process: ServiceProcess,
    http: SocketAddr,
    dog: String,
    _directory: TempDir,
}

impl Subject {
    /// Starts a service that exports telemetry to `collector`, or none.
    pub(crate) async fn start(binary: &Path, collector: Option<&str>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        // Without a collector, only the line with the address is logged.
        let level = if collector.is_some() { "info" } else { "off,kennel_http::server=info" };
        let limit = std::env::var("TRACE_LIMIT").unwrap_or_default();
        let mut env = vec![
            ("SERVER_PORT", "0"),
            ("GRPC_PORT", "0"),
            ("PROMETHEUS_PORT", "0"),
            ("LOG_FORMAT", "json"),
            ("LOG_LEVEL", level),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.unwrap_or_default()),
        ];
        if !limit.is_empty() {
            env.push(("TRACE_LIMIT", &limit));
        }
        let launch = Launch { binary, args: &["serve"], env: &env, directory: directory.path() };
        let mut process = ServiceProcess::start(&launch);
        let http = process.listener("http").await;
        let sys = process.listener("sys").await;
        process.ready(sys, "/ready").await;
        let dog = tokio::task::spawn_blocking(move || load::create(http)).await.expect("a dog is created");
        Self { process, http, dog, _directory: directory }
    }

    /// Measures it under load for the duration.
    pub(crate) async fn measure(&self, work: Work, duration: Duration) -> Measured {
        let (http, request) = (self.http, work.request(&self.dog));
        let (cpu, started) = (self.cpu(), Instant::now());
        let requests =
            tokio::task::spawn_blocking(move || load::run(http, request, duration)).await.expect("load runs");
        Measured { requests, took: started.elapsed(), cpu: self.cpu().saturating_sub(cpu) }
    }

    pub(crate) async fn stop(mut self) {
        self.process.terminate();
        self.process.wait(Duration::from_mins(1)).await;
    }

    /// The processor time of all threads so far. Zero without `/proc`.
    fn cpu(&self) -> Duration {
        let id = self.process.id().expect("it runs");
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // After the name, which may contain spaces: the 12th and 13th fields are the user and the system time.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 1_000 / TICKS)
    }
}
