//! Runs the service and its commands as processes in a temporary directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use kennel_proto::dogs::v1::dog_service_client::DogServiceClient;
use kennel_testkit::Upstream;
use kennel_testkit::process::{Launch, ServiceProcess};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;

use super::{Messages, PUBLIC_URL, TEST_TIMEOUT, TestResponse};

/// The binary.
pub const DOGS: &str = env!("CARGO_BIN_EXE_dogs");

const VARIABLES: [(&str, &str); 5] = [
    ("SERVER_PORT", "0"),
    ("GRPC_PORT", "0"),
    ("PROMETHEUS_PORT", "0"),
    // Commands commit events in other processes than the serving one, and a killed process does not release its lease.
    ("OUTBOX_POLL", "50ms"),
    ("OUTBOX_LEASE", "1s"),
];

/// A temporary directory with the data of a service, and the environment of its processes.
pub struct ServiceDir {
    directory: TempDir,
    variables: Vec<(String, String)>,
}

/// The exit code and the output of a command.
#[derive(Debug)]
pub struct CommandOutput {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl ServiceDir {
    /// An empty directory; the service listens on free ports.
    pub fn new() -> Self {
        let variables = VARIABLES.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { directory: tempfile::tempdir().unwrap(), variables: variables.to_vec() }
    }

    /// An empty directory, with `upstream` as the source of images, which is faster than drawing them.
    pub fn with_upstream(upstream: &Upstream) -> Self {
        Self::new().set("DOG_API_BASE_URL", &upstream.url()).set("DOG_API_ALLOW_PRIVATE", "true")
    }

    /// Sets an environment variable.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The environment of its processes.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Writes a file to the directory; returns its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The names of the entries of the directory.
    pub fn entries(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Starts the binary without waiting for it.
    pub fn start(&self, args: &[&str]) -> ServiceProcess {
        let env: Vec<_> = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        ServiceProcess::start(&Launch { binary: Path::new(DOGS), args, env: &env, directory: self.path() })
    }

    /// Starts the service with all components, and waits until it is ready.
    pub async fn serve(&self) -> RunningService {
        let mut served = RunningService::of(self.start(&["serve"])).await;
        served.grpc = Some(served.process.listener("grpc").await);
        served
    }

    /// Starts the service without a relay, so that events are not published.
    pub async fn serve_without_relay(&self) -> RunningService {
        RunningService::of(self.start(&["serve", "--only", "http,sys"])).await
    }

    /// Runs a command until it exits.
    pub async fn run(&self, args: &[&str]) -> CommandOutput {
        self.run_with_input(args, b"").await
    }

    /// Runs a command with this input until it exits.
    pub async fn run_with_input(&self, args: &[&str], input: &[u8]) -> CommandOutput {
        let mut child = self.spawn(args);
        let mut stdin = child.stdin.take().unwrap();
        let ended = async {
            // A command that does not read all input reports the reason itself.
            stdin.write_all(input).await.ok();
            drop(stdin);
            child.wait_with_output().await.unwrap()
        };
        let output =
            timeout(TEST_TIMEOUT, ended).await.unwrap_or_else(|_| panic!("`dogs {}` does not exit", args.join(" ")));
        CommandOutput {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts a command with piped input and output.
    pub fn spawn(&self, args: &[&str]) -> Child {
        Command::new(DOGS)
            .args(args)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }
}

impl CommandOutput {
    /// Asserts the exit code.
    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Its standard output as JSON, one value per line.
    pub fn rows(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A serving process. It is killed when the value is dropped.
pub struct RunningService {
    pub process: ServiceProcess,
    pub http: SocketAddr,
    pub sys: SocketAddr,
    pub grpc: Option<SocketAddr>,
    client: reqwest::Client,
}

impl RunningService {
    async fn of(mut process: ServiceProcess) -> Self {
        let (http, sys) = (process.listener("http").await, process.listener("sys").await);
        process.ready(sys, "/ready").await;
        // Another test of this process may already have installed it.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().timeout(TEST_TIMEOUT).build().unwrap();
        Self { process, http, sys, grpc: None, client }
    }

    /// A request for `target`: a path, or a link from a response.
    pub fn request(&self, method: &str, target: &str) -> reqwest::RequestBuilder {
        // Links have port 0, because they are configured before the port is chosen.
        let path = ["http://localhost:0", PUBLIC_URL].iter().find_map(|root| target.strip_prefix(root));
        let path = path.unwrap_or(target);
        self.client.request(method.parse().unwrap(), format!("http://{}{path}", self.http))
    }

    pub async fn get(&self, target: &str) -> TestResponse {
        TestResponse::of(self.request("GET", target)).await
    }

    /// Creates a dog; returns its id.
    pub async fn dog(&self, name: &str) -> String {
        let body = serde_json::json!({ "breed": "husky", "name": name });
        let response = TestResponse::of(self.request("POST", "/api/v1/dogs").json(&body)).await.expect(201);
        response.json()["id"].as_str().unwrap().to_owned()
    }

    /// Fetches an image of a husky; returns the id of the dog.
    pub async fn fetch(&self) -> String {
        let response = self.get("/api/v1/dogs/husky/image").await.expect(200);
        response.json()["id"].as_str().unwrap().to_owned()
    }

    /// Every dog, newest first.
    pub async fn dogs(&self) -> Vec<Value> {
        let page = self.get("/api/v1/dogs?limit=1000").await.expect(200).json();
        assert!(page["next"].is_null(), "more dogs than fit on one page");
        page["items"].as_array().unwrap().clone()
    }

    /// Opens the event stream.
    pub async fn events(&self, last: Option<&str>) -> Messages {
        let mut request = self.request("GET", "/api/v1/events");
        if let Some(id) = last {
            request = request.header("last-event-id", id);
        }
        Messages::open(request).await
    }

    /// Creates a dog and waits for its event; returns the id of that event, as a position to start after. Events of earlier
    /// commits may be published after it.
    pub async fn anchor(&self) -> String {
        let mut events = self.events(None).await;
        let dog = self.dog("anchor").await;
        loop {
            let message = events.next().await.expect("the stream does not end");
            if message.data["subject"] == dog {
                return message.id;
            }
        }
    }

    /// The events after the event `last` up to now, as type and subject. Events that are not published yet may be missing.
    pub async fn events_since(&self, last: &str) -> Vec<(String, String)> {
        let marker = self.dog("marker").await;
        let mut events = self.events(Some(last)).await;
        let mut received = Vec::new();
        loop {
            let message = events.next().await.expect("the stream does not end");
            let subject = message.data["subject"].as_str().unwrap_or_default().to_owned();
            if subject == marker {
                return received;
            }
            received.push((message.event, subject));
        }
    }

    /// A channel to the gRPC server.
    pub fn channel(&self) -> Channel {
        let address = self.grpc.expect("gRPC is served");
        Channel::from_shared(format!("http://{address}")).unwrap().timeout(TEST_TIMEOUT).connect_lazy()
    }

    /// A gRPC client.
    pub fn rpc(&self) -> DogServiceClient<Channel> {
        DogServiceClient::new(self.channel())
    }

    /// The response of the sys port.
    pub async fn sys(&self, path: &str) -> TestResponse {
        TestResponse::of(self.client.get(format!("http://{}{path}", self.sys))).await
    }

    /// The metrics in the text format.
    pub async fn metrics(&self) -> String {
        self.client.get(format!("http://{}/metrics", self.sys)).send().await.unwrap().text().await.unwrap()
    }

    /// The value of a series with exactly these labels; 0 if it does not exist.
    pub async fn metric(&self, series: &str) -> f64 {
        let text = self.metrics().await;
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Stops it with SIGTERM. Panics if it does not exit with 0.
    pub async fn stop(mut self) {
        self.process.terminate();
        let ended = self.process.wait(TEST_TIMEOUT).await;
        assert_eq!(ended.code(), Some(0), "{}", self.process.output());
    }

    /// Stops it with SIGKILL.
    pub async fn kill(mut self) {
        self.process.kill();
        self.process.wait(TEST_TIMEOUT).await;
    }
}

/// Polls until there is a value. Panics when there is none in time.
pub async fn eventually<T>(what: &str, mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = poll().await {
            return value;
        }
        assert!(started.elapsed() < TEST_TIMEOUT, "not after {TEST_TIMEOUT:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
