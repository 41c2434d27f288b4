//! A real nginx in front of a service.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::Backend;
use crate::process::{Launch, ServiceProcess};
use crate::server::free_port;

/// Settings with which nginx runs in its own folder, as one process that ends with the test.
const BASE_CONFIG: &str = "\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {}
http {
access_log off;
client_body_temp_path temp;
proxy_temp_path temp;
fastcgi_temp_path temp;
uwsgi_temp_path temp;
scgi_temp_path temp;
";

/// A reverse proxy. Its addresses are known before it starts, because services need to know their own. It is killed
/// when the value is dropped.
pub struct Nginx {
    program: PathBuf,
    port: u16,
    /// Reserves the ports among tests.
    _claim: UdpSocket,
    folder: TempDir,
    process: Option<ServiceProcess>,
}

impl Nginx {
    /// Creates a proxy without starting it. Without `TEST_NGINX`, prints that the test is skipped and returns `None`.
    ///
    /// # Panics
    /// If `REQUIRE_BACKENDS` lists `nginx` and there is no such program.
    pub fn find() -> Option<Self> {
        let program = PathBuf::from(Backend::Nginx.address()?);
        let (port, claim) = free_port();
        let folder = tempfile::tempdir().expect("a temporary folder can be created");
        Some(Self { program, port, _claim: claim, folder, process: None })
    }

    /// First address to listen on.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Second address to listen on.
    pub fn other_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port + 1).into()
    }

    /// Starts nginx with these `server` blocks, one of which must listen on [`Self::address`]. Returns once it accepts
    /// connections.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn run(&mut self, servers: &str) {
        let config = format!("{BASE_CONFIG}{servers}\n}}\n");
        std::fs::write(self.folder.path().join("nginx.conf"), config).expect("the folder is writable");
        let folder = format!("{}/", self.folder.path().display());
        let args = ["-p", &folder, "-c", "nginx.conf", "-e", "stderr"];
        let launch = Launch { binary: &self.program, args: &args, env: &[], directory: self.folder.path() };
        let address = self.address();
        let process = self.process.insert(ServiceProcess::start(&launch));
        process.wait_for("nginx listens", async |_| TcpStream::connect(address).await.ok()).await;
    }
}
