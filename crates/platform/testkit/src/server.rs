//! A server of a test's own, to stop, kill, restart and wipe.

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

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(50);
/// Where ports are looked for: below those that the system gives to outgoing connections, which could take a port
/// while its server is down.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// The ports that a server may take: its own and those right after it.
const PORTS_EACH: u16 = 4;

/// What a test can start for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// `PostgreSQL`.
    Postgres,
    /// `MariaDB`, with TLS.
    MySql,
    /// Redis, which keeps nothing over a restart.
    Redis,
    /// NATS with `JetStream`, as old as the one of [`Backend::Nats`].
    Nats,
    /// NATS with `JetStream`, of the newest version.
    NatsCurrent,
    /// RabbitMQ.
    RabbitMq,
    /// Kafka, one node.
    Kafka,
}

impl Server {
    /// Its name in `.ci/services`.
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

/// A server on a port that it keeps over restarts. It is killed, and its data removed, with the value.
pub struct PrivateServer {
    program: PathBuf,
    server: Server,
    port: u16,
    /// Shows other tests that the ports are taken, also while the server is down.
    _claim: UdpSocket,
    folder: TempDir,
    child: Option<Child>,
}

impl PrivateServer {
    /// Starts one with no data; it answers when this returns. `None`, said aloud, without `TEST_SERVER_PROGRAM`.
    ///
    /// # Panics
    /// When it does not come up, or when `REQUIRE_BACKENDS` lists `private_servers` and there is no such program.
    pub async fn start(server: Server) -> Option<Self> {
        let program = PathBuf::from(Backend::PrivateServers.address()?);
        let (port, claim) = free_port();
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        // Some servers give up the rights of root and have to reach their data all the same.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).expect("the folder is ours");
        let mut private = Self { program, server, port, _claim: claim, folder, child: None };
        private.run().await;
        Some(private)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// How a client is pointed to it: a URL, or for Redis and Kafka an address.
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

    /// Starts it again with the data that is there, after [`Self::stop`] or [`Self::kill`]; returns once it answers.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn run(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let log = File::options().create(true).append(true).open(self.log()).expect("the folder is ours");
        let child = Command::new(&self.program)
            .args(["--run", self.server.name(), &self.port.to_string()])
            .arg(self.data())
            // It ends with this pipe, should this process end before it.
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .process_group(0)
            .spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("{} does not start: {error}", self.program.display())));
        let began = Instant::now();
        while !self.answers().await {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().expect("a child has a status"));
            assert!(ended.is_none(), "{} ended ({ended:?}); it wrote:\n{}", self.server.name(), self.output());
            let name = self.server.name();
            assert!(began.elapsed() < PATIENCE, "{name} does not answer; it wrote:\n{}", self.output());
            sleep(POLL).await;
        }
    }

    /// Asks it to end, with SIGTERM, and waits for that. Nothing happens when it is down.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn stop(&mut self) {
        self.end(Signal::TERM).await;
    }

    /// Ends it on the spot, with SIGKILL. Nothing happens when it is down.
    pub async fn kill(&mut self) {
        self.end(Signal::KILL).await;
    }

    /// Stops it and starts it again with the same data.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.run().await;
    }

    /// Kills it and starts it again without any data.
    pub async fn restart_empty(&mut self) {
        self.kill().await;
        self.wipe();
        self.run().await;
    }

    /// Removes its data.
    ///
    /// # Panics
    /// When it runs.
    pub fn wipe(&self) {
        assert!(self.child.is_none(), "it runs");
        std::fs::remove_dir_all(self.data()).expect("the data of a server that is down can be removed");
    }

    /// What it wrote since it was started first.
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
        let asked = tokio::process::Command::new(&self.program)
            .args(["--answers", self.server.name(), &self.port.to_string()])
            .arg(self.data())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status();
        asked.await.is_ok_and(|status| status.success())
    }

    async fn end(&mut self, signal: Signal) {
        let Some(child) = &mut self.child else { return };
        signal_group(child, signal);
        let began = Instant::now();
        while child.try_wait().expect("a child has a status").is_none() {
            assert!(began.elapsed() < PATIENCE, "{} does not end", self.server.name());
            sleep(POLL).await;
        }
        // What it started itself.
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
            eprintln!("{} wrote last:\n{}", self.server.name(), lines[lines.len().saturating_sub(20)..].join("\n"));
        }
    }
}

/// To the process and all that it started; there may be nothing left of them.
fn signal_group(child: &Child, signal: Signal) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        kill_process_group(group, signal).ok();
    }
}

/// Ports that nothing listens on, and what claims them: the UDP port of the same number, which no server here uses.
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

    /// What Redis answers to a command that begins every connection.
    async fn run_id(server: &PrivateServer) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(server.address()).await?;
        stream.write_all(b"INFO server\r\nQUIT\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let id = answer.lines().find_map(|line| line.strip_prefix("run_id:"));
        id.map(str::to_owned).ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }

    #[tokio::test]
    async fn a_server_keeps_its_port_over_restarts_and_goes_with_the_value() {
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
    async fn data_stays_until_it_is_wiped() {
        let Some(mut server) = PrivateServer::start(Server::Nats).await else { return };
        let kept = server.data().join("kept");
        std::fs::write(&kept, "").unwrap();
        server.restart().await;
        assert!(kept.exists());
        server.restart_empty().await;
        assert!(!kept.exists());
    }

    #[test]
    fn servers_do_not_meet() {
        let (one, other) = (free_port(), free_port());
        assert!(one.0.abs_diff(other.0) >= PORTS_EACH);
    }
}
