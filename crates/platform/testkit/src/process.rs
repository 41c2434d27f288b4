//! A service as its own process: started, watched, stopped and killed.

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

/// How long to wait for what a healthy process does at once.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);
/// The most lines of output that are kept.
const MAX_LINES: usize = 100_000;
/// What a service warns of when a pool could not be closed. Its stop succeeds all the same; a test has to hear of it.
const LEAK: &str = "pool closed with connections still checked out";

/// What to start. The process inherits no variables.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    /// The program.
    pub binary: &'a Path,
    /// Its arguments.
    pub args: &'a [&'a str],
    /// All its variables. A service announces its ports when `LOG_FORMAT` is `json` and `LOG_LEVEL` shows `info`.
    pub env: &'a [(&'a str, &'a str)],
    /// Where it runs.
    pub directory: &'a Path,
}

/// A running process, killed when the value goes away. A wait that takes too long fails the test with the output.
pub struct ServiceProcess {
    child: Child,
    output: Arc<Mutex<Vec<String>>>,
    readers: JoinSet<()>,
}

impl ServiceProcess {
    /// Starts it, with an empty standard input.
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
            .unwrap_or_else(|error| panic!("{} does not start: {error}", launch.binary.display()));
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

    /// Where the component of this name listens, once it has logged so. An address that stands for all interfaces
    /// becomes the loopback address.
    pub async fn listener(&mut self, component: &str) -> SocketAddr {
        self.until(&format!("{component} listens"), async |process| {
            process.lines().iter().find_map(|line| announced(line, component))
        })
        .await
    }

    /// Waits until `path` at `address` answers 200.
    pub async fn ready(&mut self, address: SocketAddr, path: &str) {
        self.until(&format!("{path} is ready"), async |_| {
            let response = timeout(PATIENCE, probe::get(address, path)).await.ok()?.ok()?;
            (response.status == 200).then_some(())
        })
        .await;
    }

    /// Asks it to end, with SIGTERM. Nothing happens when it has ended.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it on the spot, with SIGKILL. Nothing happens when it has ended.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Its process id; `None` once its end was waited for.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for its end, and for the last of its output. One that ended well while connections were out fails the test.
    pub async fn wait(&mut self, longest: Duration) -> ExitStatus {
        let Ok(ended) = timeout(longest, self.child.wait()).await else {
            panic!("still running after {longest:?}; it wrote:\n{}", self.output());
        };
        self.drain().await;
        let ended = ended.expect("a child can be waited for");
        let leaks = ended.success() && self.lines().iter().any(|line| line.contains(LEAK));
        assert!(!leaks, "it left connections behind; it wrote:\n{}", self.output());
        ended
    }

    /// What it has written so far, both streams.
    pub fn output(&self) -> String {
        self.lines().join("\n")
    }

    /// Takes in what the ended process wrote last; a grandchild may hold the pipe open for longer.
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
            // It may have ended in this moment, which is as good.
            kill_process(pid, signal).ok();
        }
    }

    pub(crate) async fn until<T>(&mut self, what: &str, mut look: impl AsyncFnMut(&Self) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            let ended = self.child.try_wait().expect("a child can be asked for its status");
            if ended.is_some() {
                self.drain().await;
            }
            if let Some(found) = look(self).await {
                return found;
            }
            assert!(ended.is_none(), "it ended ({ended:?}) before {what}; it wrote:\n{}", self.output());
            assert!(began.elapsed() < PATIENCE, "not after {PATIENCE:?}: {what}; it wrote:\n{}", self.output());
            sleep(POLL).await;
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

/// Reads `{"message": "listening", "component": .., "address": ..}`, the fields beside the message or under `fields`.
fn announced(line: &str, component: &str) -> Option<SocketAddr> {
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
    fn reads_announcements_of_either_shape() {
        let address = "127.0.0.1:8080".parse().unwrap();
        let flat = r#"{"message":"listening","component":"http","address":"0.0.0.0:8080"}"#;
        assert_eq!(announced(flat, "http"), Some(address));
        let nested = r#"{"fields":{"message":"listening","component":"http","address":"127.0.0.1:8080"}}"#;
        assert_eq!(announced(nested, "http"), Some(address));
        assert_eq!(announced(flat, "grpc"), None);
        assert_eq!(announced(r#"{"message":"stopped","component":"http","address":"0.0.0.0:1"}"#, "http"), None);
        assert_eq!(announced("plain text", "http"), None);
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
    async fn ends_by_request_or_by_force() {
        let mut asked = shell("trap 'echo bye >&2; exit 3' TERM; echo $GREETING $HOME; while :; do sleep 0.02; done");
        asked.until("greeted", async |process| process.output().contains("woof").then_some(())).await;
        asked.terminate();
        assert_eq!(asked.wait(PATIENCE).await.code(), Some(3));
        assert_eq!(asked.output(), "woof\nbye", "no variable is inherited");

        let mut forced = shell("trap '' TERM; echo up; while :; do sleep 0.02; done");
        forced.until("up", async |process| process.output().contains("up").then_some(())).await;
        forced.terminate();
        forced.kill();
        assert_eq!(forced.wait(PATIENCE).await.signal(), Some(9));
        forced.kill();
    }

    #[tokio::test]
    #[should_panic(expected = "before http listens; it wrote:\nno luck")]
    async fn an_early_end_fails_with_the_output() {
        shell("echo no luck; exit 1").listener("http").await;
    }

    #[tokio::test]
    #[should_panic(expected = "it left connections behind")]
    async fn a_good_end_with_connections_out_fails() {
        shell(r#"echo '{"level":"WARN","message":"pool closed with connections still checked out"}'"#)
            .wait(PATIENCE)
            .await;
    }

    #[tokio::test]
    async fn is_killed_with_the_value() {
        let process = shell("exec sleep 60");
        let id = process.id().unwrap();
        drop(process);
        let gone = async {
            // An ended child stays a zombie until the runtime has reaped it.
            while std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
                sleep(POLL).await;
            }
        };
        timeout(PATIENCE, gone).await.unwrap();
    }
}
