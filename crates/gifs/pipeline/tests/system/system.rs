//! A directory with the programs in it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use kennel_testkit::probe;
use kennel_testkit::process::{Launch, ServiceProcess};
use serde_json::Value;
use tempfile::TempDir;

use crate::backends::Variables;

const STOP_LIMIT: Duration = Duration::from_mins(1);

/// The components of each service.
pub(crate) const API: &str = "gif-api.http";
pub(crate) const STORAGE: &str = "gif-storage.http,gif-storage.grpc,gif-storage.outbox-relay,gif-storage.media";
pub(crate) const FILES: &str = "gif-files.grpc,gif-files.outbox-relay,gif-files.downloader";

/// The files and settings of programs that find each other.
pub(crate) struct System {
    folder: TempDir,
    variables: Variables,
    /// The ports of the gRPC servers of gif-storage and gif-files.
    ports: [u16; 2],
}

impl System {
    pub(crate) fn new(variables: Variables) -> Self {
        // Both are reserved before the first one is released.
        let listeners = [0, 1].map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let ports = listeners.map(|listener| listener.local_addr().unwrap().port());
        Self { folder: tempfile::tempdir().unwrap(), variables, ports }
    }

    /// Starts the program; `media_port` is that of gif-files.
    fn start(&self, args: &[&str], media_port: u16) -> ServiceProcess {
        let [catalogue, media] = self.ports.map(|port| format!("http://127.0.0.1:{port}"));
        let (catalogue_port, media_port) = (self.ports[0].to_string(), media_port.to_string());
        let mut env = vec![
            ("CATALOGUE_GRPC_URL", catalogue.as_str()),
            ("MEDIA_GRPC_URL", media.as_str()),
            ("GIF_STORAGE_GRPC_PORT", catalogue_port.as_str()),
            ("GIF_FILES_GRPC_PORT", media_port.as_str()),
            ("GIF_API_SERVER_PORT", "0"),
            ("GIF_STORAGE_SERVER_PORT", "0"),
            ("PROMETHEUS_PORT", "0"),
            // A killed process is replaced soon, and its attempts do not use up those of its events.
            ("OUTBOX_LEASE", "1s"),
            ("OUTBOX_POLL", "100ms"),
            ("CONSUMER_MAX_ATTEMPTS", "1000"),
        ];
        env.extend(self.variables.iter().map(|(name, value)| (*name, value.as_str())));
        let binary = Path::new(env!("CARGO_BIN_EXE_gif-pipeline"));
        ServiceProcess::start(&Launch { binary, args, env: &env, directory: self.folder.path() })
    }

    /// Starts these components and waits until they are ready.
    pub(crate) async fn serve(&self, components: &str) -> ServiceProcess {
        self.ready(self.start(&["serve", "--only", &format!("sys,{components}")], self.ports[1])).await
    }

    /// Starts a member of gif-files, whose gRPC server nobody calls.
    pub(crate) async fn serve_member(&self) -> ServiceProcess {
        self.ready(self.start(&["serve", "--only", &format!("sys,{FILES}")], 0)).await
    }

    /// Starts all services in one process.
    pub(crate) async fn serve_all(&self) -> ServiceProcess {
        self.ready(self.start(&["serve"], self.ports[1])).await
    }

    async fn ready(&self, mut process: ServiceProcess) -> ServiceProcess {
        let sys = process.listener("sys").await;
        process.ready(sys, "/ready").await;
        process
    }

    /// Runs a command; returns its exit code and its output.
    pub(crate) async fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        let mut process = self.start(args, self.ports[1]);
        let code = process.wait(STOP_LIMIT).await.code();
        (code, process.output())
    }
}

pub(crate) async fn stop(mut process: ServiceProcess) {
    process.terminate();
    assert!(process.wait(STOP_LIMIT).await.success(), "{}", process.output());
}

/// Searches for a text; returns the ids of the GIFs.
pub(crate) async fn search(http: SocketAddr, text: &str, headers: &[(&str, &str)]) -> Vec<String> {
    let response = probe::request(http, "GET", &format!("/api/v1/gifs/search?q={text}"), headers).await.unwrap();
    let body = String::from_utf8_lossy(&response.body);
    assert_eq!(response.status, 200, "{body}");
    let page: Value = serde_json::from_str(&body).unwrap();
    page["items"].as_array().unwrap().iter().map(|gif| gif["id"].as_str().unwrap().to_owned()).collect()
}
