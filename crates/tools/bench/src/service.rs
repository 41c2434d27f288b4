//! Processes under load: the service, and the baselines.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use kennel_loadgen::{get, send};
use serde_json::Value;
use tempfile::TempDir;

use crate::baseline::Baseline;

/// How long a process may take until it serves.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Interval of asking whether it does; short, because the time of a start is measured.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// Dogs in the store.
#[cfg(feature = "servers")]
pub(crate) const DOGS: u32 = 10_000;
/// The largest page of a list.
#[cfg(feature = "servers")]
pub(crate) const PAGE: u32 = 1_000;

/// A process that serves HTTP, in a directory of its own. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) http: SocketAddr,
    /// `None` for a baseline.
    pub(crate) grpc: Option<SocketAddr>,
    /// From the start of the process until it was ready.
    pub(crate) start_time: Duration,
    _directory: TempDir,
}

impl Running {
    /// Starts dogs with `env` as its only settings, without any exporter, and logs at the default level.
    pub(crate) fn service(binary: &Path, env: &[(&str, &str)]) -> anyhow::Result<Self> {
        let ports = [("SERVER_PORT", "0"), ("GRPC_PORT", "0")];
        Self::program(binary, &[&ports, env].concat(), "http", Some("grpc"))
    }

    /// Starts the GIF pipeline with `env` as its only settings.
    pub(crate) fn pipeline(binary: &Path, env: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::program(binary, env, "gif-api.http", None)
    }

    /// Starts a program of the platform, and waits for the addresses of these components.
    fn program(binary: &Path, env: &[(&str, &str)], http: &str, grpc: Option<&str>) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut command = Command::new(binary);
        command.arg("serve").env_clear().current_dir(directory.path());
        command.envs([("PROMETHEUS_PORT", "0"), ("LOG_FORMAT", "json")]);
        command.envs(env.iter().copied()).stdout(Stdio::piped());
        let (mut http_address, mut grpc_address) = (None, None);
        Self::start(command, directory, |line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let (component, address) = (line["component"].as_str()?, line["address"].as_str()?.parse().ok());
            if component == http {
                http_address = address;
            } else if Some(component) == grpc {
                grpc_address = address;
            }
            http_address.filter(|_| grpc.is_some() == grpc_address.is_some()).map(|http| (http, grpc_address))
        })
    }

    /// Starts nginx, which serves `file` as `/file.gif`.
    pub(crate) fn nginx(program: &Path, file: &[u8]) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let http = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        std::fs::write(directory.path().join("file.gif"), file)?;
        std::fs::write(directory.path().join("nginx.conf"), nginx_config(http, directory.path()))?;
        let mut command = Command::new(program);
        command.arg("-p").arg(directory.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        Self { child, http, grpc: None, start_time: Duration::ZERO, _directory: directory }.ready(started)
    }

    /// Starts this program as a baseline.
    pub(crate) fn baseline(baseline: &Baseline) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("baseline").args(baseline.arguments()).stdout(Stdio::piped());
        Self::start(command, tempfile::tempdir()?, |line| Some((line.parse().ok()?, None)))
    }

    fn start(
        mut command: Command,
        directory: TempDir,
        mut addresses: impl FnMut(&str) -> Option<(SocketAddr, Option<SocketAddr>)>,
    ) -> anyhow::Result<Self> {
        let started = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let mut output = String::new();
        let (http, grpc) = loop {
            let Some(line) = lines.next().transpose()? else { bail!("the process ended:\n{output}") };
            if let Some(addresses) = addresses(&line) {
                break addresses;
            }
            output.push_str(&line);
            output.push('\n');
        };
        // Read on, so that the process does not wait for a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let local = |address: SocketAddr| SocketAddr::from(([127, 0, 0, 1], address.port()));
        let (http, grpc) = (local(http), grpc.map(local));
        Self { child, http, grpc, start_time: Duration::ZERO, _directory: directory }.ready(started)
    }

    /// Waits until it is ready.
    fn ready(mut self, started: Instant) -> anyhow::Result<Self> {
        while started.elapsed() < START_LIMIT {
            if send(self.http, &get("/ready")).is_ok_and(|response| response.status == 200) {
                self.start_time = started.elapsed();
                return Ok(self);
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        bail!("the process is not ready after {START_LIMIT:?}")
    }

    /// The resident memory in bytes; `None` without `/proc`.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    }

    /// Imports [`DOGS`] dogs, and returns the requests for each of them.
    #[cfg(feature = "servers")]
    pub(crate) fn seed(&self) -> anyhow::Result<Vec<Vec<u8>>> {
        let lines = "{\"breed\":\"husky\"}\n".repeat(DOGS as usize);
        let response = send(self.http, &kennel_loadgen::post("/api/v1/dogs/import", "application/x-ndjson", &lines))?;
        anyhow::ensure!(response.status == 200, "import: {}", String::from_utf8_lossy(&response.body));
        let (mut dogs, mut cursor) = (Vec::with_capacity(DOGS as usize), String::new());
        loop {
            let response = send(self.http, &get(&format!("/api/v1/dogs?limit={PAGE}{cursor}")))?;
            let page: Value = serde_json::from_slice(&response.body).context("a page is JSON")?;
            let items = page["items"].as_array().context("a page has items")?;
            dogs.extend(items.iter().filter_map(|dog| dog["id"].as_str()).map(|id| get(&format!("/api/v1/dogs/{id}"))));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        anyhow::ensure!(dogs.len() == DOGS as usize, "there are {} dogs", dogs.len());
        Ok(dogs)
    }
}

/// One process, which ends with this one's child, and else the defaults of nginx with `sendfile`, as Debian has them.
fn nginx_config(address: SocketAddr, directory: &Path) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|name| format!("{name}_temp_path temp;"));
    format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr; events {{}}
        http {{
            access_log off; sendfile on; tcp_nopush on; types {{ image/gif gif; }} {}
            server {{ listen {address}; root {}; location = /ready {{ return 200; }} }}
        }}",
        temporary.join(" "),
        directory.display(),
    )
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
