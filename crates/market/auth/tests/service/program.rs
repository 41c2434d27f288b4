//! The running program, its commands and its clients.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use kennel_auth::key_set::HttpKeys;
use kennel_auth::{Algorithm, AuthError, AuthMetrics, Caller, KeySet, TokenRules, Verifier};
use kennel_client::{Client, ClientMetrics};
use kennel_core::SystemClock;
use kennel_testkit::process::{Launch, ServiceProcess};
use prometheus::Registry;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ISSUER: &str = "http://auth.test";
const STOP_LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Program {
    pub(crate) http: SocketAddr,
    process: ServiceProcess,
    folder: TempDir,
    client: reqwest::Client,
}

/// A folder with the secrets, and the variables that name them.
fn configured(variables: &[(&'static str, &'static str)]) -> (TempDir, Vec<(&'static str, &'static str)>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), format!("{SECRET}\n")).unwrap();
    std::fs::write(folder.path().join("password"), format!("{PASSWORD}\n")).unwrap();
    let mut env = vec![
        ("SERVER_PORT", "0"),
        ("PROMETHEUS_PORT", "0"),
        ("AUTH_ISSUER", ISSUER),
        ("AUTH_AUDIENCE", "kennel"),
        ("TOKEN_SECRET_FILE", "secret"),
        ("FIRST_ADMIN_PASSWORD_FILE", "password"),
        ("PASSWORD_MEMORY", "1MiB"),
        ("SQLITE_PATH", "auth.db"),
        ("LOG_LEVEL", "debug"),
    ];
    env.extend(variables);
    (folder, env)
}

fn execute(folder: &Path, env: &[(&str, &str)], args: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auth"));
    command.args(args).current_dir(folder).env_clear().envs(env.iter().copied());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Runs a command with these variables in a new folder.
pub(crate) fn run(variables: &[(&'static str, &'static str)], args: &[&str], input: &str) -> Output {
    let (folder, env) = configured(variables);
    execute(folder.path(), &env, args, input)
}

/// Asserts that the configuration is refused because of this variable.
pub(crate) fn refuses(variables: &[(&'static str, &'static str)], variable: &str) {
    let output = run(variables, &["serve"], "");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(text.lines().any(|line| line.starts_with(variable)), "{text}");
}

impl Program {
    pub(crate) async fn start(variables: &[(&'static str, &'static str)]) -> Self {
        let (folder, env) = configured(variables);
        let binary = Path::new(env!("CARGO_BIN_EXE_auth"));
        let launch = Launch { binary, args: &["serve"], env: &env, directory: folder.path() };
        let mut process = ServiceProcess::start(&launch);
        let http = process.listener("http").await;
        process.ready(http, "/ready").await;
        rustls::crypto::ring::default_provider().install_default().ok();
        Self { http, process, folder, client: reqwest::Client::new() }
    }

    /// Runs a command of an operator next to the running program. Returns what it prints.
    pub(crate) fn command(&self, args: &[&str], input: &str) -> String {
        let (_other, env) = configured(&[]);
        let output = execute(self.folder.path(), &env, args, input);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) async fn send(&self, path: &str, body: &Value) -> reqwest::Response {
        self.client.post(format!("http://{}{path}", self.http)).json(body).send().await.unwrap()
    }

    /// The status and the body of the response.
    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let response = self.send(path, &body).await;
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    pub(crate) async fn log_in(&self, name: &str, password: &str) -> (u16, Value) {
        self.post("/api/v1/sessions", json!({ "name": name, "password": password })).await
    }

    pub(crate) async fn refresh(&self, token: &Value) -> (u16, Value) {
        self.post("/api/v1/sessions/refresh", json!({ "refresh_token": token })).await
    }

    /// Verifies the access token as another service does.
    pub(crate) async fn verify(&self, tokens: &Value) -> Result<Caller, AuthError> {
        let registry = Registry::new();
        let metrics = ClientMetrics::register(&registry).unwrap();
        let client = Client::new("auth_keys", &HttpKeys::client_config(), &metrics).unwrap();
        let url = format!("http://{}/.well-known/jwks.json", self.http).parse().unwrap();
        let metrics = AuthMetrics::register(&registry).unwrap();
        let keys = KeySet::new(HttpKeys::new(url, client), Duration::from_mins(5), Duration::from_secs(10), metrics);
        let rules = TokenRules {
            issuer: ISSUER.to_owned(),
            audience: "kennel".to_owned(),
            algorithms: vec![Algorithm::EdDsa],
            token_type: "at+jwt".to_owned(),
            leeway: Duration::from_mins(1),
        };
        let verifier = Verifier::new(rules, keys, Arc::new(SystemClock));
        verifier.verify(tokens["access_token"].as_str().unwrap()).await
    }

    /// Stops the program. Returns what it has logged.
    pub(crate) async fn stop(mut self) -> String {
        self.process.terminate();
        assert!(self.process.wait(STOP_LIMIT).await.success(), "{}", self.process.output());
        self.process.output()
    }
}
