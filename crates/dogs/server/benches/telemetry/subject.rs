//! The service, with telemetry or without.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use kennel_testkit::process::{Launch, ServiceProcess};
use tempfile::TempDir;

use crate::load::{self, Measured, Work};

/// What `/proc` counts processor time in, for each second; the same on every Linux that is of use.
const TICKS: u64 = 100;

/// A running service over an empty folder of its own.
pub(crate) struct Subject {
    process: ServiceProcess,
    http: SocketAddr,
    dog: String,
    _home: TempDir,
}

impl Subject {
    /// One that tells `collector` everything, or no one anything.
    pub(crate) async fn start(binary: &Path, collector: Option<&str>) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        // Without lines of its own, but for the one that says where it listens.
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
        let launch = Launch { binary, args: &["serve"], env: &env, directory: home.path() };
        let mut process = ServiceProcess::start(&launch);
        let http = process.listener("http").await;
        let sys = process.listener("sys").await;
        process.ready(sys, "/ready").await;
        let dog = tokio::task::spawn_blocking(move || load::create(http)).await.expect("a dog is made");
        Self { process, http, dog, _home: home }
    }

    /// Puts it under load for so `long`.
    pub(crate) async fn measure(&self, work: Work, long: Duration) -> Measured {
        let (http, request) = (self.http, work.request(&self.dog));
        let (cpu, began) = (self.cpu(), Instant::now());
        let requests = tokio::task::spawn_blocking(move || load::run(http, &request, long)).await.expect("load runs");
        Measured { requests, took: began.elapsed(), cpu: self.cpu().saturating_sub(cpu) }
    }

    pub(crate) async fn stop(mut self) {
        self.process.terminate();
        self.process.wait(Duration::from_mins(1)).await;
    }

    /// The processor time that it has taken so far, all threads together. Nought where there is no `/proc`.
    fn cpu(&self) -> Duration {
        let id = self.process.id().expect("it runs");
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // Behind the name, which may hold spaces: the 12th and 13th fields are the times of program and kernel.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 1_000 / TICKS)
    }
}
