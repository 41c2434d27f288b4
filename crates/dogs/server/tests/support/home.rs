//! A folder with a database and pictures, the processes over it and the commands on it.

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

use super::{Answer, Messages, PATIENCE, PUBLIC_URL};

/// The program.
pub const DOGS: &str = env!("CARGO_BIN_EXE_dogs");

const VARIABLES: [(&str, &str); 5] = [
    ("SERVER_PORT", "0"),
    ("GRPC_PORT", "0"),
    ("PROMETHEUS_PORT", "0"),
    // Another process than the one that serves commits events, and a killed one leaves its lease behind.
    ("OUTBOX_POLL", "50ms"),
    ("OUTBOX_LEASE", "1s"),
];

/// A place where the service is at home.
pub struct Home {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Home {
    /// An empty one; ports are free ones.
    pub fn new() -> Self {
        let variables = VARIABLES.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { folder: tempfile::tempdir().unwrap(), variables: variables.to_vec() }
    }

    /// One whose pictures come from `upstream`, which takes less time than drawing them.
    pub fn with_upstream(upstream: &Upstream) -> Self {
        Self::new().set("DOG_API_BASE_URL", &upstream.url()).set("DOG_API_ALLOW_PRIVATE", "true")
    }

    /// With this variable as well.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What its processes are started with.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Writes a file into the folder; its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// What is in the folder.
    pub fn entries(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Starts the program; says nothing of how it goes on.
    pub fn start(&self, args: &[&str]) -> ServiceProcess {
        let env: Vec<_> = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        ServiceProcess::start(&Launch { binary: Path::new(DOGS), args, env: &env, directory: self.path() })
    }

    /// Serves everything; ready when this returns.
    pub async fn serve(&self) -> Served {
        let mut served = Served::over(self.start(&["serve"])).await;
        served.grpc = Some(served.process.listener("grpc").await);
        served
    }

    /// Serves HTTP alone: what is committed is not published.
    pub async fn serve_without_relay(&self) -> Served {
        Served::over(self.start(&["serve", "--only", "http,sys"])).await
    }

    /// Runs a command to its end.
    pub async fn run(&self, args: &[&str]) -> Outcome {
        self.run_with_input(args, b"").await
    }

    /// Runs a command that reads `input` to its end.
    pub async fn run_with_input(&self, args: &[&str], input: &[u8]) -> Outcome {
        let mut child = self.spawn(args);
        let mut stdin = child.stdin.take().unwrap();
        let ended = async {
            // One that does not read to the end says why itself.
            stdin.write_all(input).await.ok();
            drop(stdin);
            child.wait_with_output().await.unwrap()
        };
        let output =
            timeout(PATIENCE, ended).await.unwrap_or_else(|_| panic!("`dogs {}` does not end", args.join(" ")));
        Outcome {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts a command whose input the test writes.
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

impl Outcome {
    /// What it wrote, when it ended with this code.
    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Its output as JSON, one value a line.
    pub fn rows(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A process that serves. It is killed when the value goes away.
pub struct Served {
    pub process: ServiceProcess,
    pub http: SocketAddr,
    pub sys: SocketAddr,
    pub grpc: Option<SocketAddr>,
    client: reqwest::Client,
}

impl Served {
    async fn over(mut process: ServiceProcess) -> Self {
        let (http, sys) = (process.listener("http").await, process.listener("sys").await);
        process.ready(sys, "/ready").await;
        // Another test of the process may have come first.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Self { process, http, sys, grpc: None, client }
    }

    /// A request for `target`: a path, or a link that an answer held.
    pub fn request(&self, method: &str, target: &str) -> reqwest::RequestBuilder {
        // The port is chosen after the links are known.
        let path = ["http://localhost:0", PUBLIC_URL].iter().find_map(|root| target.strip_prefix(root));
        let path = path.unwrap_or(target);
        self.client.request(method.parse().unwrap(), format!("http://{}{path}", self.http))
    }

    pub async fn get(&self, target: &str) -> Answer {
        Answer::to(self.request("GET", target)).await
    }

    /// Makes a dog; its id.
    pub async fn dog(&self, name: &str) -> String {
        let body = serde_json::json!({ "breed": "husky", "name": name });
        let answer = Answer::to(self.request("POST", "/api/v1/dogs").json(&body)).await.expect(201);
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Fetches a picture of a husky; the dog's id.
    pub async fn fetch(&self) -> String {
        let answer = self.get("/api/v1/dogs/husky/image").await.expect(200);
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Every dog, newest first.
    pub async fn dogs(&self) -> Vec<Value> {
        let page = self.get("/api/v1/dogs?limit=1000").await.expect(200).json();
        assert!(page["next"].is_null(), "more dogs than one page holds");
        page["items"].as_array().unwrap().clone()
    }

    /// Follows the events; the stream is open when this returns.
    pub async fn events(&self, last: Option<&str>) -> Messages {
        let mut request = self.request("GET", "/api/v1/events");
        if let Some(id) = last {
            request = request.header("last-event-id", id);
        }
        Messages::open(request).await
    }

    /// Makes a dog and waits until it is told of; the id of that event, for others to start behind. What was committed
    /// before may be told of only now.
    pub async fn anchor(&self) -> String {
        let mut events = self.events(None).await;
        let dog = self.dog("anchor").await;
        loop {
            let message = events.next().await.expect("the stream goes on");
            if message.data["subject"] == dog {
                return message.id;
            }
        }
    }

    /// Everything told behind the event `last` up to now, as type and subject. What is not published yet can be missing.
    pub async fn told_since(&self, last: &str) -> Vec<(String, String)> {
        let marker = self.dog("marker").await;
        let mut events = self.events(Some(last)).await;
        let mut told = Vec::new();
        loop {
            let message = events.next().await.expect("the stream goes on");
            let subject = message.data["subject"].as_str().unwrap_or_default().to_owned();
            if subject == marker {
                return told;
            }
            told.push((message.event, subject));
        }
    }

    /// Where gRPC is.
    pub fn channel(&self) -> Channel {
        let address = self.grpc.expect("gRPC is served");
        Channel::from_shared(format!("http://{address}")).unwrap().timeout(PATIENCE).connect_lazy()
    }

    /// A gRPC client.
    pub fn rpc(&self) -> DogServiceClient<Channel> {
        DogServiceClient::new(self.channel())
    }

    /// The answer of the port for operators.
    pub async fn sys(&self, path: &str) -> Answer {
        Answer::to(self.client.get(format!("http://{}{path}", self.sys))).await
    }

    /// What Prometheus would read.
    pub async fn metrics(&self) -> String {
        self.client.get(format!("http://{}/metrics", self.sys)).send().await.unwrap().text().await.unwrap()
    }

    /// The value of a series, named as it is printed; 0 before it is there.
    pub async fn metric(&self, series: &str) -> f64 {
        let text = self.metrics().await;
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Stops it with SIGTERM; it has to end well.
    pub async fn stop(mut self) {
        self.process.terminate();
        let ended = self.process.wait(PATIENCE).await;
        assert_eq!(ended.code(), Some(0), "{}", self.process.output());
    }

    /// Stops it with SIGKILL.
    pub async fn kill(mut self) {
        self.process.kill();
        self.process.wait(PATIENCE).await;
    }
}

/// Asks until there is an answer; fails when there is none in time.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "not after {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
