//! Databases on real servers, one per test, dropped after the test.

use std::net::SocketAddr;
use std::time::Duration;

use kennel_core::{IdSource as _, UuidV7};
use sqlx::{AssertSqlSafe, Connection};
use url::Url;

use crate::Backend;

/// An empty database. It is dropped with the value, also if the test fails.
pub struct TestDatabase {
    kind: Kind,
    server: Url,
    name: String,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    #[cfg(feature = "postgres")]
    Postgres,
    #[cfg(feature = "mysql")]
    Mysql,
}

impl TestDatabase {
    /// Creates a database on the server of `TEST_POSTGRES_DSN`; `None` if the variable is not set.
    ///
    /// # Panics
    /// If the server is required and missing, or cannot create a database.
    #[cfg(feature = "postgres")]
    pub async fn postgres() -> Option<Self> {
        Some(Self::create(Kind::Postgres, &Backend::Postgres.address()?).await)
    }

    /// Creates a database on the server of `TEST_MYSQL_DSN`; `None` if the variable is not set.
    ///
    /// # Panics
    /// If the server is required and missing, or cannot create a database.
    #[cfg(feature = "mysql")]
    pub async fn mysql() -> Option<Self> {
        Some(Self::create(Kind::Mysql, &Backend::MySql.address()?).await)
    }

    /// Creates a database on the `PostgreSQL` server with this DSN.
    ///
    /// # Panics
    /// If it cannot create one.
    #[cfg(feature = "postgres")]
    pub async fn postgres_on(server: &str) -> Self {
        Self::create(Kind::Postgres, server).await
    }

    /// Creates a database on the MySQL server with this DSN.
    ///
    /// # Panics
    /// If it cannot create one.
    #[cfg(feature = "mysql")]
    pub async fn mysql_on(server: &str) -> Self {
        Self::create(Kind::Mysql, server).await
    }

    async fn create(kind: Kind, server: &str) -> Self {
        let server = Url::parse(server).expect("the server's address is a URL");
        let database = Self { kind, server, name: format!("kennel_test_{}", UuidV7.next().simple()) };
        let create = format!("CREATE DATABASE {}", database.name);
        database.execute(create).await.expect("the server creates a database");
        database
    }

    async fn execute(&self, sql: String) -> Result<(), sqlx::Error> {
        match self.kind {
            #[cfg(feature = "postgres")]
            Kind::Postgres => run::<sqlx::PgConnection>(self.server.as_str(), sql).await,
            #[cfg(feature = "mysql")]
            Kind::Mysql => run::<sqlx::MySqlConnection>(self.server.as_str(), sql).await,
        }
    }

    /// Sets whether new sessions of a `PostgreSQL` database are read-only. If so, existing sessions are terminated, as
    /// after a failover; otherwise they do not change.
    ///
    /// # Panics
    /// If the server refuses.
    #[cfg(feature = "postgres")]
    pub async fn set_read_only(&self, read_only: bool) {
        let alter = format!("ALTER DATABASE {} SET default_transaction_read_only = {read_only}", self.name);
        self.execute(alter).await.expect("a database can be set read-only");
        if read_only {
            let terminate = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname";
            self.execute(format!("{terminate} = '{}'", self.name)).await.expect("sessions can be ended");
        }
    }

    /// DSN of the database.
    pub fn dsn(&self) -> String {
        self.at(&self.name).into()
    }

    /// DSN of the database through a proxy on loopback.
    ///
    /// # Panics
    /// If the server's address cannot have a port.
    pub fn dsn_by(&self, proxy: SocketAddr) -> String {
        let mut dsn = self.at(&self.name);
        dsn.set_ip_host(proxy.ip()).expect("the address of a server has a host");
        dsn.set_port(Some(proxy.port())).expect("the address of a server has a port");
        dsn.into()
    }

    /// DSN of the database through the `PgBouncer` of `TEST_PGBOUNCER_ADDR`; `None` if the variable is not set.
    ///
    /// # Panics
    /// If it is required and missing, or if its address is invalid.
    #[cfg(feature = "postgres")]
    pub fn dsn_by_pgbouncer(&self) -> Option<String> {
        let pooler = Backend::PgBouncer.address()?;
        Some(self.dsn_by(pooler.parse().expect("the pooler's address is an IP address and a port")))
    }

    /// Address of the server.
    ///
    /// # Panics
    /// If the address is not a host and a port.
    pub fn server(&self) -> SocketAddr {
        let default = || match self.kind {
            #[cfg(feature = "postgres")]
            Kind::Postgres => Some(5432),
            #[cfg(feature = "mysql")]
            Kind::Mysql => Some(3306),
        };
        let addresses = self.server.socket_addrs(default).expect("the server's host resolves");
        addresses[0]
    }

    fn at(&self, database: &str) -> Url {
        let mut dsn = self.server.clone();
        dsn.set_path(database);
        dsn
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let force = match self.kind {
            #[cfg(feature = "postgres")]
            Kind::Postgres => " WITH (FORCE)",
            #[cfg(feature = "mysql")]
            Kind::Mysql => "",
        };
        let sql = format!("DROP DATABASE IF EXISTS {}{force}", self.name);
        // The test's runtime may be shutting down, so this uses a separate one.
        let dropped = std::thread::scope(|scope| {
            let drop_it = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                let limited = async { tokio::time::timeout(Duration::from_secs(10), self.execute(sql)).await };
                runtime.block_on(limited).map_err(std::io::Error::other)?.map_err(std::io::Error::other)
            };
            scope.spawn(drop_it).join()
        });
        if !matches!(dropped, Ok(Ok(()))) {
            eprintln!("cannot drop database {}: {dropped:?}", self.name);
        }
    }
}

async fn run<C>(server: &str, sql: String) -> Result<(), sqlx::Error>
where
    C: Connection,
    for<'c> &'c mut C: sqlx::Executor<'c>,
{
    use sqlx::Executor as _;

    let mut connection = C::connect(server).await?;
    connection.execute(AssertSqlSafe(sql)).await?;
    connection.close().await
}
