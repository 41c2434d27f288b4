//! Private servers that a test can stop, kill, restart and wipe.

use std::fs::{File, Permissions};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::Backend;

/// Timeout of starting or stopping a server.
const SERVER_TIMEOUT: Duration = Duration::from_mins(2);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Range of ports: below the ephemeral ports, because an outgoing connection could take a port while its server is
/// down.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// Number of consecutive ports per server.
const PORTS_EACH: u16 = 4;

/// Servers that a test can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// `PostgreSQL`.
    Postgres,
    /// `MariaDB`, with TLS.
    MySql,
    /// Redis, which loses its data at a restart.
    Redis,
    /// NATS with `JetStream`, in the version of [`Backend::Nats`].
    Nats,
    /// NATS with `JetStream`, newest version.
    NatsCurrent,
    /// RabbitMQ.
    RabbitMq,
    /// Kafka, one node.
    Kafka,
}

impl Server {
    /// Name of the server in `.ci/services`.
    const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MySql => "mysql",
            Self::Redis => "redis",
            Self::Nats => "nats",
            Self::NatsCurrent => "nats_current",
            Self::RabbitMq => "rabbitmq",
            Self::Kafka => "kafka",
        }
    }
}

/// A server whose port does not change over restarts. It is killed and its data deleted when the value is dropped.
pub struct PrivateServer {
    program: PathBuf,
    server: Server,
    port: u16,
    /// Reserves the ports among tests, also while the server is down.
    _claim: UdpSocket,
    folder: TempDir,
    /// Whether a commit is synced to disk, which tests need not wait for.
    durable: bool,
    child: Option<Child>,
}

impl PrivateServer {
    /// Starts a server without data and returns once it answers. Without `TEST_SERVER_PROGRAM`, prints that the test is
    /// skipped and returns `None`.
    ///
    /// # Panics
    /// If it does not start, or if `REQUIRE_BACKENDS` lists `private_servers` and there is no such program.
    pub async fn start(server: Server) -> Option<Self> {
        Self::start_with(server, false).await
    }

    /// The same for a database that syncs every commit to disk, as in production: for benchmarks.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn start_durable(server: Server) -> Option<Self> {
        Self::start_with(server, true).await
    }

    async fn start_with(server: Server, durable: bool) -> Option<Self> {
        let program = PathBuf::from(Backend::PrivateServers.address()?);
        let (port, claim) = free_port();
        let folder = tempfile::tempdir().expect("a temporary folder can be created");
        // Some servers drop root privileges and still need access to their data.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).expect("the folder is writable");
        let mut private = Self { program, server, port, _claim: claim, folder, durable, child: None };
        private.run().await;
        Some(private)
    }

    /// Address of the server.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Connection URL, or for Redis and Kafka the address.
    pub fn url(&self) -> String {
        let address = self.address();
        match self.server {
            Server::Postgres => format!("postgres://kennel:kennel@{address}/postgres"),
            Server::MySql => format!("mysql://kennel:kennel@{address}/mysql"),
            Server::Nats | Server::NatsCurrent => format!("nats://{address}"),
            Server::RabbitMq => format!("amqp://guest:guest@{address}/%2f"),
            Server::Redis | Server::Kafka => address.to_string(),
        }
    }

    /// Starts the server with its existing data, after [`Self::stop`] or [`Self::kill`], and returns once it answers.
    ///
    /// # Panics
    /// If it runs already or does not start.
    pub async fn run(&mut self) {
        assert!(self.child.is_none(), "the server is running");
        let log = File::options().create(true).append(true).open(self.log()).expect("the folder is writable");
        let child = Command::new(&self.program)
            .args(["--run", self.server.name(), &self.port.to_string()])
            .arg(self.data())
            .env("DURABLE", if self.durable { "on" } else { "off" })
            // The server exits when this pipe closes, also if this process is killed.
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .process_group(0)
            .spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("cannot start {}: {error}", self.program.display())));
        let started = Instant::now();
        while !self.answers().await {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().expect("a child has a status"));
            assert!(ended.is_none(), "{} exited ({ended:?}); output:\n{}", self.server.name(), self.output());
            let name = self.server.name();
            assert!(started.elapsed() < SERVER_TIMEOUT, "{name} does not answer; output:\n{}", self.output());
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Sends SIGTERM and waits until the server exits. Does nothing if it is down.
    ///
    /// # Panics
    /// If it does not exit in time.
    pub async fn stop(&mut self) {
        self.end(Signal::TERM).await;
    }

    /// Sends SIGKILL and waits until the server exits. Does nothing if it is down.
    pub async fn kill(&mut self) {
        self.end(Signal::KILL).await;
    }

    /// Stops the server and starts it with the same data.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.run().await;
    }

    /// Kills the server and starts it without data.
    pub async fn restart_empty(&mut self) {
        self.kill().await;
        self.wipe();
        self.run().await;
    }

    /// Deletes the data of the server.
    ///
    /// # Panics
    /// If it is running.
    pub fn wipe(&self) {
        assert!(self.child.is_none(), "the server is running");
        std::fs::remove_dir_all(self.data()).expect("the data of a stopped server can be deleted");
    }

    /// Output of all its runs.
    pub fn output(&self) -> String {
        std::fs::read(self.log()).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    async fn answers(&self) -> bool {
        let check = tokio::process::Command::new(&self.program)
            .args(["--answers", self.server.name(), &self.port.to_string()])
            .arg(self.data())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status();
        check.await.is_ok_and(|status| status.success())
    }

    async fn end(&mut self, signal: Signal) {
        let Some(child) = &mut self.child else { return };
        signal_group(child, signal);
        let started = Instant::now();
        while child.try_wait().expect("a child has a status").is_none() {
            assert!(started.elapsed() < SERVER_TIMEOUT, "{} does not exit", self.server.name());
            sleep(POLL_INTERVAL).await;
        }
        // Its child processes.
        signal_group(child, Signal::KILL);
        self.child = None;
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal_group(&child, Signal::KILL);
            child.wait().ok();
        }
        if std::thread::panicking() {
            let output = self.output();
            let lines: Vec<_> = output.lines().collect();
            eprintln!("last output of {}:\n{}", self.server.name(), lines[lines.len().saturating_sub(20)..].join("\n"));
        }
    }
}

/// Signals the process group; it may have exited already.
fn signal_group(child: &Child, signal: Signal) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        kill_process_group(group, signal).ok();
    }
}

/// Finds ports that nothing listens on. The UDP socket with the same number reserves them; no server here uses UDP.
pub(crate) fn free_port() -> (u16, UdpSocket) {
    let count = (PORTS.end - PORTS.start) / PORTS_EACH;
    let start = u16::try_from(RandomState::new().build_hasher().finish() % u64::from(count)).unwrap_or(0);
    for step in 0..count {
        let port = PORTS.start + (start + step) % count * PORTS_EACH;
        let Ok(claim) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) else { continue };
        if (port..port + PORTS_EACH).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()) {
            return (port, claim);
        }
    }
    panic!("no port is free");
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    /// The run id of a Redis server, which changes at every start.
    async fn run_id(server: &PrivateServer) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(server.address()).await?;
        stream.write_all(b"INFO server\r\nQUIT\r\n").await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        let id = response.lines().find_map(|line| line.strip_prefix("run_id:"));
        id.map(str::to_owned).ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }

    #[tokio::test]
    async fn a_server_retains_its_port_over_restarts_and_is_killed_on_drop() {
        let Some(mut server) = PrivateServer::start(Server::Redis).await else { return };
        let first = run_id(&server).await.unwrap();
        server.restart().await;
        let second = run_id(&server).await.unwrap();
        assert_ne!(first, second);
        server.kill().await;
        assert!(run_id(&server).await.is_err());
        server.run().await;
        assert_ne!(run_id(&server).await.unwrap(), second);
        let (address, folder) = (server.address(), server.folder.path().to_owned());
        drop(server);
        assert!(TcpStream::connect(address).await.is_err());
        assert!(!folder.exists());
    }

    #[tokio::test]
    async fn data_is_retained_until_it_is_wiped() {
        let Some(mut server) = PrivateServer::start(Server::Nats).await else { return };
        let file = server.data().join("file");
        std::fs::write(&file, "").unwrap();
        server.restart().await;
        assert!(file.exists());
        server.restart_empty().await;
        assert!(!file.exists());
    }

    #[test]
    fn servers_have_distinct_ports() {
        let (one, other) = (free_port(), free_port());
        assert!(one.0.abs_diff(other.0) >= PORTS_EACH);
    }
}
