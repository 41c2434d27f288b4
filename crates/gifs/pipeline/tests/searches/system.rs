//! Replicas of the services, in processes of their own, and what they share.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use kennel_testkit::probe::{self, Response};
use kennel_testkit::process::{Launch, ServiceProcess};
use kennel_testkit::{PrivateServer, Server};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::scripted::{KEY, Scripted};

const WAIT_LIMIT: Duration = Duration::from_mins(1);

/// A Redis and a provider.
pub(crate) struct System {
    pub(crate) redis: PrivateServer,
    pub(crate) provider: Scripted,
}

/// A process. Its data is deleted with the value.
pub(crate) struct Replica {
    pub(crate) process: ServiceProcess,
    pub(crate) address: SocketAddr,
    _folder: TempDir,
}

impl System {
    /// `None` without the program that starts servers.
    pub(crate) async fn start() -> Option<Self> {
        Some(Self { redis: PrivateServer::start(Server::Redis).await?, provider: Scripted::start().await })
    }

    async fn process(&self, only: &str, listener: &str, variables: &[(&str, &str)]) -> Replica {
        let folder = tempfile::tempdir().unwrap();
        let (redis, base) = (self.redis.url(), self.provider.base("giphy"));
        let mut env = vec![
            ("CACHE", "redis"),
            ("REDIS_ADDR", redis.as_str()),
            ("REDIS_TIMEOUT", "5s"),
            ("GIF_PROVIDERS", "giphy"),
            ("GIF_PROVIDER_ALLOW_PRIVATE", "true"),
            ("GIPHY_API_BASE_URL", &base),
            ("GIPHY_API_KEY", KEY),
            ("GIPHY_HOURLY_QUOTA", "0"),
            ("GIF_API_SERVER_PORT", "0"),
            ("GIF_STORAGE_GRPC_PORT", "0"),
            ("PROMETHEUS_PORT", "0"),
            // Not used: files are not asked for.
            ("MEDIA_GRPC_URL", "http://127.0.0.1:1"),
            ("CATALOGUE_GRPC_URL", "http://127.0.0.1:1"),
        ];
        env.extend(variables);
        let binary = Path::new(env!("CARGO_BIN_EXE_gif-pipeline"));
        let args = ["serve", "--only", only];
        let mut process = ServiceProcess::start(&Launch { binary, args: &args, env: &env, directory: folder.path() });
        let address = process.listener(listener).await;
        Replica { process, address, _folder: folder }
    }

    /// A replica of gif-storage.
    pub(crate) async fn storage(&self, variables: &[(&str, &str)]) -> Replica {
        self.process("gif-storage.grpc", "gif-storage.grpc", variables).await
    }

    /// A replica of gif-api that calls `storage`.
    pub(crate) async fn api(&self, storage: &Replica, variables: &[(&str, &str)]) -> Replica {
        let url = format!("http://{}", storage.address);
        let variables = [&[("CATALOGUE_GRPC_URL", url.as_str())], variables].concat();
        let mut replica = self.process("gif-api.http", "gif-api.http", &variables).await;
        // Does not ask the provider.
        replica.process.ready(replica.address, "/api/v1/requests").await;
        replica
    }

    /// Number of requests to the provider so far.
    pub(crate) fn calls(&self) -> usize {
        self.provider.requests().len()
    }
}

/// The path of a search.
pub(crate) fn search(text: &str) -> String {
    format!("/api/v1/gifs/search?q={}", text.replace(' ', "+"))
}

impl Replica {
    pub(crate) async fn get(&self, path: &str) -> Response {
        probe::get(self.address, path).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The answer to a search.
    pub(crate) async fn search(&self, text: &str) -> Answer {
        Answer::of(&self.get(&search(text)).await)
    }
}

/// What a search was answered with.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `X-Cache`.
    pub(crate) cache: Option<String>,
    pub(crate) retry_after: Option<u64>,
    pub(crate) page: Value,
}

impl Answer {
    fn of(response: &Response) -> Self {
        Self {
            status: response.status,
            cache: response.header("x-cache").map(str::to_owned),
            retry_after: response.header("retry-after").and_then(|text| text.parse().ok()),
            page: serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{error}: {response:?}")),
        }
    }

    pub(crate) fn cache(&self) -> &str {
        self.cache.as_deref().unwrap_or_default()
    }

    /// The provider that answered.
    pub(crate) fn provider(&self) -> Option<&str> {
        self.page["source"]["provider"].as_str()
    }

    pub(crate) fn fetched_at(&self) -> &str {
        self.page["source"]["fetched_at"].as_str().unwrap_or_default()
    }

    pub(crate) fn gifs(&self) -> usize {
        self.page["items"].as_array().map_or(0, Vec::len)
    }
}

/// Waits until `find` finds something.
pub(crate) async fn eventually<T>(what: &str, mut find: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = find().await {
            return found;
        }
        assert!(started.elapsed() < WAIT_LIMIT, "in vain: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
