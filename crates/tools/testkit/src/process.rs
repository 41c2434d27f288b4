//! A service in a separate process: start, observe, stop and kill it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::probe;

/// Timeout of what a healthy process does at once.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Maximum number of stored lines of output.
const MAX_LINES: usize = 100_000;
/// Warning of a service whose pool could not be closed. The shutdown succeeds anyway, but a test has to fail.
const LEAK_WARNING: &str = "pool closed with connections still checked out";

/// The process to start. It inherits no variables.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    /// The program.
    pub binary: &'a Path,
    /// Arguments.
    pub args: &'a [&'a str],
    /// All its variables. A service logs its ports if `LOG_FORMAT` is `json` and `LOG_LEVEL` includes `info`.
    pub env: &'a [(&'a str, &'a str)],
    /// Working directory.
    pub directory: &'a Path,
}

/// A running process, killed when the value is dropped. A wait that times out fails the test and prints the output.
pub struct ServiceProcess {
    child: Child,
    output: Arc<Mutex<Vec<String>>>,
    readers: JoinSet<()>,
}

impl ServiceProcess {
    /// Starts the process with an empty standard input.
    pub fn start(launch: &Launch<'_>) -> Self {
        let mut child = Command::new(launch.binary)
            .args(launch.args)
            .env_clear()
            .envs(launch.env.iter().copied())
            .current_dir(launch.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", launch.binary.display()));
        let output = Arc::new(Mutex::new(Vec::new()));
        let mut readers = JoinSet::new();
        if let Some(stdout) = child.stdout.take() {
            readers.spawn(collect(stdout, Arc::clone(&output)));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.spawn(collect(stderr, Arc::clone(&output)));
        }
        Self { child, output, readers }
    }

    /// Waits until the component logs its address, and returns it. An address of all interfaces is replaced by the
    /// loopback address.
    pub async fn listener(&mut self, component: &str) -> SocketAddr {
        self.wait_for(&format!("{component} listens"), async |process| {
            process.lines().iter().find_map(|line| listening_address(line, component))
        })
        .await
    }

    /// Waits until `path` at `address` returns 200.
    pub async fn ready(&mut self, address: SocketAddr, path: &str) {
        self.wait_for(&format!("{path} is ready"), async |_| {
            let response = timeout(WAIT_TIMEOUT, probe::get(address, path)).await.ok()?.ok()?;
            (response.status == 200).then_some(())
        })
        .await;
    }

    /// Waits until the response of `path` at `address` contains `text`.
    pub async fn shows(&mut self, address: SocketAddr, path: &str, text: &str) {
        self.wait_for(&format!("{path} shows {text}"), async |_| {
            let response = timeout(WAIT_TIMEOUT, probe::get(address, path)).await.ok()?.ok()?;
            String::from_utf8_lossy(&response.body).contains(text).then_some(())
        })
        .await;
    }

    /// Waits until it has printed a line with this text.
    pub async fn prints(&mut self, text: &str) {
        self.wait_for(&format!("it prints {text}"), async |process| {
            process.lines().iter().any(|line| line.contains(text)).then_some(())
        })
        .await;
    }

    /// Sends SIGTERM. Does nothing if the process has exited.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGKILL. Does nothing if the process has exited.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Sends SIGSTOP: the process stands still, and its connections stay open.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Sends SIGCONT: a frozen process continues.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// The memory that the process has, in KiB.
    pub fn memory_kib(&self) -> u64 {
        let id = self.id().expect("the process runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("the process has a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Process id; `None` after [`Self::wait`].
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the process exits, and for its remaining output. Fails the test if it exits with success although it
    /// leaked connections.
    pub async fn wait(&mut self, limit: Duration) -> ExitStatus {
        let Ok(ended) = timeout(limit, self.child.wait()).await else {
            panic!("still running after {limit:?}; output:\n{}", self.output());
        };
        self.drain().await;
        let ended = ended.expect("a child can be waited for");
        let leaks = ended.success() && self.lines().iter().any(|line| line.contains(LEAK_WARNING));
        assert!(!leaks, "it leaked connections; output:\n{}", self.output());
        ended
    }

    /// Standard output and standard error so far.
    pub fn output(&self) -> String {
        self.lines().join("\n")
    }

    /// Reads the last output of an exited process. A grandchild may leave the pipe open, hence the timeout.
    async fn drain(&mut self) {
        let drained = async { while self.readers.join_next().await.is_some() {} };
        timeout(Duration::from_secs(1), drained).await.ok();
    }

    fn lines(&self) -> Vec<String> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // The process may have exited in the meantime, which is fine.
            kill_process(pid, signal).ok();
        }
    }

    pub(crate) async fn wait_for<T>(&mut self, what: &str, mut find: impl AsyncFnMut(&Self) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            let ended = self.child.try_wait().expect("a child has a status");
            if ended.is_some() {
                self.drain().await;
            }
            if let Some(found) = find(self).await {
                return found;
            }
            assert!(ended.is_none(), "it exited ({ended:?}) before {what}; output:\n{}", self.output());
            assert!(
                started.elapsed() < WAIT_TIMEOUT,
                "timed out after {WAIT_TIMEOUT:?}: {what}; output:\n{}",
                self.output()
            );
            sleep(POLL_INTERVAL).await;
        }
    }
}

async fn collect(stream: impl AsyncRead + Unpin, output: Arc<Mutex<Vec<String>>>) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        if output.len() < MAX_LINES {
            output.push(line);
        }
    }
}

/// Parses `{"message": "listening", "component": .., "address": ..}`; the fields may be nested under `fields`.
fn listening_address(line: &str, component: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let field = |name: &str| line.get(name).or_else(|| line.get("fields")?.get(name))?.as_str();
    if field("message")? != "listening" || field("component")? != component {
        return None;
    }
    let mut address: SocketAddr = field("address")?.parse().ok()?;
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    Some(address)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;
    use crate::Upstream;

    fn shell(script: &str) -> ServiceProcess {
        ServiceProcess::start(&Launch {
            binary: Path::new("/bin/sh"),
            args: &["-c", script],
            env: &[("GREETING", "woof")],
            directory: Path::new("/"),
        })
    }

    #[test]
    fn parses_flat_and_nested_log_lines() {
        let address = "127.0.0.1:8080".parse().unwrap();
        let flat = r#"{"message":"listening","component":"http","address":"0.0.0.0:8080"}"#;
        assert_eq!(listening_address(flat, "http"), Some(address));
        let nested = r#"{"fields":{"message":"listening","component":"http","address":"127.0.0.1:8080"}}"#;
        assert_eq!(listening_address(nested, "http"), Some(address));
        assert_eq!(listening_address(flat, "grpc"), None);
        assert_eq!(
            listening_address(r#"{"message":"stopped","component":"http","address":"0.0.0.0:1"}"#, "http"),
            None
        );
        assert_eq!(listening_address("plain text", "http"), None);
    }

    #[tokio::test]
    async fn finds_ports_and_waits_until_ready() {
        let upstream = Upstream::new().await;
        let address = upstream.address();
        let line = format!(r#"{{"message":"listening","component":"http","address":"{address}"}}"#);
        let mut process = shell(&format!("echo noise; echo '{line}'; exec sleep 60"));
        assert_eq!(process.listener("http").await, address);
        process.ready(address, "/api/breeds/list/all").await;
        assert!(process.output().starts_with("noise\n"));
    }

    #[tokio::test]
    async fn ends_by_sigterm_or_sigkill() {
        let mut terminated =
            shell("trap 'echo bye >&2; exit 3' TERM; echo $GREETING $HOME; while :; do sleep 0.02; done");
        terminated.wait_for("greeted", async |process| process.output().contains("woof").then_some(())).await;
        terminated.terminate();
        assert_eq!(terminated.wait(WAIT_TIMEOUT).await.code(), Some(3));
        assert_eq!(terminated.output(), "woof\nbye", "no variable is inherited");

        let mut killed = shell("trap '' TERM; echo up; while :; do sleep 0.02; done");
        killed.wait_for("up", async |process| process.output().contains("up").then_some(())).await;
        killed.terminate();
        killed.kill();
        assert_eq!(killed.wait(WAIT_TIMEOUT).await.signal(), Some(9));
        killed.kill();
    }

    #[tokio::test]
    #[should_panic(expected = "before http listens; output:\nno luck")]
    async fn an_early_end_fails_with_the_output() {
        shell("echo no luck; exit 1").listener("http").await;
    }

    #[tokio::test]
    #[should_panic(expected = "it leaked connections")]
    async fn a_successful_exit_with_leaked_connections_fails() {
        shell(r#"echo '{"level":"WARN","message":"pool closed with connections still checked out"}'"#)
            .wait(WAIT_TIMEOUT)
            .await;
    }

    #[tokio::test]
    async fn is_killed_with_the_value() {
        let process = shell("exec sleep 60");
        let id = process.id().unwrap();
        drop(process);
        let reaped = async {
            // An ended child stays a zombie until the runtime has reaped it.
            while std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
                sleep(POLL_INTERVAL).await;
            }
        };
        timeout(WAIT_TIMEOUT, reaped).await.unwrap();
    }
}
