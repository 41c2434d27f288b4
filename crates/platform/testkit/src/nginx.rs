//! The real nginx in front of a service.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::Backend;
use crate::process::{Launch, ServiceProcess};
use crate::server::free_port;

/// What nginx needs in order to run in a folder of its own, as one process that ends with the test.
const FRAME: &str = "\
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

/// A reverse proxy. Its addresses are known before it is started, as services want to know their own. It is killed with
/// the value.
pub struct Nginx {
    program: PathBuf,
    port: u16,
    /// Shows other tests that the ports are taken.
    _claim: UdpSocket,
    folder: TempDir,
    process: Option<ServiceProcess>,
}

impl Nginx {
    /// One that does not run yet. `None`, said aloud, without `TEST_NGINX`.
    ///
    /// # Panics
    /// When `REQUIRE_BACKENDS` lists `nginx` and there is no such program.
    pub fn find() -> Option<Self> {
        let program = PathBuf::from(Backend::Nginx.address()?);
        let (port, claim) = free_port();
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        Some(Self { program, port, _claim: claim, folder, process: None })
    }

    /// An address for it to listen at.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Another one.
    pub fn other_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port + 1).into()
    }

    /// Runs it with these `server` blocks, one of which listens at [`Self::address`]; it takes connections when this
    /// returns.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn run(&mut self, servers: &str) {
        let config = format!("{FRAME}{servers}\n}}\n");
        std::fs::write(self.folder.path().join("nginx.conf"), config).expect("the folder is ours");
        let folder = format!("{}/", self.folder.path().display());
        let args = ["-p", &folder, "-c", "nginx.conf", "-e", "stderr"];
        let launch = Launch { binary: &self.program, args: &args, env: &[], directory: self.folder.path() };
        let address = self.address();
        let process = self.process.insert(ServiceProcess::start(&launch));
        process.until("nginx listens", async |_| TcpStream::connect(address).await.ok()).await;
    }
}
