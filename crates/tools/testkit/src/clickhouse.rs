//! Databases on a real ClickHouse, one per test, dropped after the test.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use kennel_core::{IdSource as _, UuidV7};
use url::Url;

use crate::Backend;

/// Timeout of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// An empty ClickHouse database. It is dropped with the value, also if the test fails.
pub struct TestClickHouse {
    server: Url,
    name: String,
}

impl TestClickHouse {
    /// Creates a database on the server of `TEST_CLICKHOUSE_DSN`; `None` if the variable is not set.
    ///
    /// # Panics
    /// If the server is required and missing, or cannot create a database.
    pub fn create() -> Option<Self> {
        let server = Url::parse(&Backend::ClickHouse.address()?).expect("the server's address is a URL");
        let database = Self { server, name: format!("kennel_test_{}", UuidV7.next().simple()) };
        database.execute(&format!("CREATE DATABASE {}", database.name)).expect("the server creates a database");
        Some(database)
    }

    /// DSN of the database.
    pub fn dsn(&self) -> String {
        let mut dsn = self.server.clone();
        dsn.set_path(&self.name);
        dsn.into()
    }

    /// DSN of the database through a proxy on loopback.
    ///
    /// # Panics
    /// If the server's address cannot have a port.
    pub fn dsn_by(&self, proxy: SocketAddr) -> String {
        let mut dsn = self.server.clone();
        dsn.set_path(&self.name);
        dsn.set_ip_host(proxy.ip()).expect("the address of a server has a host");
        dsn.set_port(Some(proxy.port())).expect("the address of a server has a port");
        dsn.into()
    }

    /// Address of the server.
    ///
    /// # Panics
    /// If the address is not a host and a port.
    pub fn server(&self) -> SocketAddr {
        self.server.socket_addrs(|| Some(8123)).expect("the server's host resolves")[0]
    }

    fn execute(&self, sql: &str) -> io::Result<()> {
        let mut connection = TcpStream::connect(self.server())?;
        connection.set_read_timeout(Some(REQUEST_TIMEOUT))?;
        connection.set_write_timeout(Some(REQUEST_TIMEOUT))?;
        let user = Some(self.server.username()).filter(|user| !user.is_empty()).unwrap_or("default");
        let password = self.server.password().unwrap_or_default();
        let length = sql.len();
        write!(
            connection,
            "POST / HTTP/1.1\r\nHost: clickhouse\r\nConnection: close\r\nX-ClickHouse-User: {user}\r\n\
             X-ClickHouse-Key: {password}\r\nContent-Length: {length}\r\n\r\n{sql}"
        )?;
        let mut response = String::new();
        connection.read_to_string(&mut response)?;
        let status = response.lines().next().unwrap_or_default();
        if status.split(' ').nth(1) == Some("200") { Ok(()) } else { Err(io::Error::other(response)) }
    }
}

impl Drop for TestClickHouse {
    fn drop(&mut self) {
        if let Err(error) = self.execute(&format!("DROP DATABASE IF EXISTS {} SYNC", self.name)) {
            eprintln!("cannot drop database {}: {error}", self.name);
        }
    }
}
