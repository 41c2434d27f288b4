//! The whole pipeline in a process, and requests to it.
#![allow(dead_code, clippy::allow_attributes, reason = "each test program needs a part of it")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use kennel_testkit::probe::{self, Response};
use kennel_testkit::process::{Launch, ServiceProcess};
use serde_json::Value;
use tempfile::TempDir;

const STOP_LIMIT: Duration = Duration::from_secs(20);

/// The variables of a process, which are those of `make run-gifs` with other ports.
pub(crate) struct Variables(Vec<(&'static str, String)>);

impl Variables {
    pub(crate) fn new() -> Self {
        // All are reserved before the first one is released.
        let ports: Vec<_> = (0..4).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()).collect();
        let [api, files, catalogue, media] =
            [0, 1, 2, 3].map(|index: usize| ports[index].local_addr().unwrap().port().to_string());
        Self(vec![
            ("CATALOGUE_GRPC_URL", format!("http://127.0.0.1:{catalogue}")),
            ("MEDIA_GRPC_URL", format!("http://127.0.0.1:{media}")),
            ("GIF_API_SERVER_PORT", api),
            ("GIF_STORAGE_SERVER_PORT", files),
            ("GIF_STORAGE_GRPC_PORT", catalogue),
            ("GIF_FILES_GRPC_PORT", media),
            ("GIF_DOWNLOAD_ALLOW_PRIVATE", "true".to_owned()),
            ("PROMETHEUS_PORT", "0".to_owned()),
        ])
    }

    pub(crate) fn and(mut self, name: &'static str, value: &str) -> Self {
        self.0.push((name, value.to_owned()));
        self
    }

    pub(crate) fn start(&self, folder: &TempDir, args: &[&str]) -> ServiceProcess {
        let env: Vec<_> = self.0.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let binary = Path::new(env!("CARGO_BIN_EXE_gif-pipeline"));
        ServiceProcess::start(&Launch { binary, args, env: &env, directory: folder.path() })
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Response {
    probe::request(address, "GET", path, headers).await.unwrap()
}

pub(crate) async fn json(address: SocketAddr, path: &str) -> (Response, Value) {
    let response = get(address, path, &[]).await;
    let value = serde_json::from_slice(&response.body)
        .unwrap_or_else(|error| panic!("{path}: {error}: {}", String::from_utf8_lossy(&response.body)));
    (response, value)
}

pub(crate) async fn stop(mut process: ServiceProcess) {
    process.terminate();
    assert!(process.wait(STOP_LIMIT).await.success(), "{}", process.output());
}

/// The path of a URL in an answer.
pub(crate) fn path(url: &Value) -> String {
    let url = url.as_str().unwrap();
    url[url.find("/api/").unwrap()..].to_owned()
}
