//! The service under test, as a process in a temporary directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kennel_testkit::process::{Launch, ServiceProcess};
use kennel_testkit::{Collector, Upstream, probe};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;

/// A running service and the source of its images.
pub(crate) struct Subject {
    pub(crate) upstream: Upstream,
    pub(crate) collector: Collector,
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) sys: SocketAddr,
    directory: TempDir,
    process: ServiceProcess,
}

impl Subject {
    pub(crate) async fn start() -> Self {
        let (directory, upstream) = (tempfile::tempdir().unwrap(), Upstream::new().await);
        let (url, collector) = (upstream.url(), Collector::start().await);
        let endpoint = collector.endpoint();
        let env = [
            ("SERVER_PORT", "0"),
            ("GRPC_PORT", "0"),
            ("PROMETHEUS_PORT", "0"),
            ("IMAGE_LIMIT", "256KiB"),
            // A failing event is retried for the whole test.
            ("CONSUMER_MAX_ATTEMPTS", "1000"),
            ("DOG_API_ALLOW_PRIVATE", "true"),
            ("DOG_API_BASE_URL", &url),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ];
        let binary = Path::new(env!("CARGO_BIN_EXE_dogs"));
        let launch = Launch { binary, args: &["serve"], env: &env, directory: directory.path() };
        let mut process = ServiceProcess::start(&launch);
        let http = process.listener("http").await;
        let grpc = process.listener("grpc").await;
        let sys = process.listener("sys").await;
        process.ready(sys, "/ready").await;
        Self { upstream, collector, http, grpc, sys, directory, process }
    }

    /// Its metrics.
    pub(crate) async fn metrics(&self) -> String {
        let response = probe::get(self.sys, "/metrics").await.unwrap();
        String::from_utf8(response.body).unwrap()
    }

    /// Locks the database for writes until the connection is closed.
    pub(crate) async fn lock_database(&self) -> SqliteConnection {
        let file = self.directory.path().join("data/dogs.db");
        let mut connection = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file)).await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
        connection
    }

    /// Damages a stored image after its first bytes, which identify the format.
    pub(crate) fn damage(&self, image: &[u8]) {
        let mut folders = vec![self.directory.path().join("data/objects")];
        while let Some(folder) = folders.pop() {
            for path in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let mut bytes = std::fs::read(&path).unwrap();
                if bytes.starts_with(image) {
                    bytes[8..image.len()].fill(b'x');
                    std::fs::write(&path, bytes).unwrap();
                    return;
                }
            }
        }
        panic!("the image is not stored");
    }

    /// Replaces the directory of thumbnails by a file, so that no thumbnail can be stored.
    pub(crate) fn block_thumbnails(&self) {
        let objects = self.directory.path().join("data/objects");
        let is_thumbnails = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("thumbnails");
        let entries = std::fs::read_dir(&objects).unwrap().map(|entry| entry.unwrap().path());
        let folder = entries.into_iter().find(is_thumbnails).expect("there was a thumbnail");
        std::fs::rename(&folder, self.directory.path().join("moved")).unwrap();
        std::fs::write(&folder, "in the way").unwrap();
    }

    pub(crate) async fn stop(&mut self) {
        self.process.terminate();
        self.process.wait(Duration::from_mins(1)).await;
    }
}
