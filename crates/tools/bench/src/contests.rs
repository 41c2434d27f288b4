//! The contests.

mod builds;
#[cfg(feature = "servers")]
mod bulk;
#[cfg(feature = "servers")]
mod databases;
mod gifs;
#[cfg(feature = "servers")]
mod growth;
mod grpc;
mod hot;
#[cfg(feature = "servers")]
mod relay;

use std::path::PathBuf;

use crate::contest::{Rounds, Score};
#[cfg(feature = "servers")]
use crate::servers::{Servers, Store};

/// Clients of a busy service.
const MANY: usize = 64;
/// Clients that leave the database idle at times.
#[cfg(feature = "servers")]
const FEW: usize = 4;

/// What contests share.
pub(crate) struct Setup {
    /// dogs with all backends.
    pub(crate) service: PathBuf,
    /// dogs with its default features.
    pub(crate) embedded: Option<PathBuf>,
    pub(crate) rounds: Rounds,
    /// Rows of the large table.
    #[cfg(feature = "servers")]
    pub(crate) rows: u32,
    #[cfg(feature = "servers")]
    pub(crate) servers: Servers,
}

/// A contest. The first score of its result is that of the service.
pub(crate) struct Contest {
    pub(crate) name: &'static str,
    /// The work, and what is counted per second if it is not requests or calls.
    pub(crate) what: &'static str,
    /// What it needs that a machine or a build may not have.
    pub(crate) needs: &'static str,
    /// Returns `None` without what it needs.
    pub(crate) run: fn(&Setup) -> anyhow::Result<Option<Vec<Score>>>,
}

/// A contest of a build with the feature `servers`; without it, the contest is not run.
macro_rules! with_servers {
    ($run:expr) => {{
        #[cfg(feature = "servers")]
        {
            $run
        }
        #[cfg(not(feature = "servers"))]
        {
            |_| Ok(None)
        }
    }};
}

const NEEDS_POSTGRES: &str = "a build with the feature `servers`, and TEST_SERVER_PROGRAM or TEST_POSTGRES_DSN";
const NEEDS_MYSQL: &str = "a build with the feature `servers`, and TEST_SERVER_PROGRAM or TEST_MYSQL_DSN";
const NEEDS_CLICKHOUSE: &str = "a build with the feature `servers`, and TEST_CLICKHOUSE_DSN";
const NEEDS_NATS: &str = "what the contests with PostgreSQL need, and TEST_NATS_URL";

/// All of them.
pub(crate) const ALL: &[Contest] = &[
    Contest {
        name: "hot-read",
        what: "Read one dog that the memory cache has, SQLite, 64 clients",
        needs: "",
        run: hot::read,
    },
    Contest {
        name: "hot-read-grpc",
        what: "The same over gRPC, load by h2load",
        needs: "h2load, in Debian's nghttp2-client",
        run: grpc::hot,
    },
    Contest {
        name: "cold-read",
        what: "Read random dogs without a cache, PostgreSQL, 64 clients",
        needs: NEEDS_POSTGRES,
        run: with_servers!(|setup| databases::read(setup, Store::Postgres, MANY)),
    },
    Contest {
        name: "cold-read-few",
        what: "Read random dogs without a cache, PostgreSQL, 4 clients",
        needs: NEEDS_POSTGRES,
        run: with_servers!(|setup| databases::read(setup, Store::Postgres, FEW)),
    },
    Contest {
        name: "cold-read-mysql",
        what: "Read random dogs without a cache, MariaDB, 64 clients",
        needs: NEEDS_MYSQL,
        run: with_servers!(|setup| databases::read(setup, Store::Mysql, MANY)),
    },
    Contest {
        name: "cold-read-clickhouse",
        what: "Read random dogs without a cache, ClickHouse, 64 clients",
        needs: NEEDS_CLICKHOUSE,
        run: with_servers!(|setup| databases::read(setup, Store::ClickHouse, MANY)),
    },
    Contest {
        name: "create",
        what: "Create a dog with its event, PostgreSQL, 64 clients",
        needs: NEEDS_POSTGRES,
        run: with_servers!(|setup| databases::create(setup, Store::Postgres)),
    },
    Contest {
        name: "create-mysql",
        what: "Create a dog with its event, MariaDB, 64 clients",
        needs: NEEDS_MYSQL,
        run: with_servers!(|setup| databases::create(setup, Store::Mysql)),
    },
    Contest {
        name: "relay-latency",
        what: "Create 1,000 dogs a second, PostgreSQL; the latency is from the creation of an event until NATS has stored it",
        needs: NEEDS_NATS,
        run: with_servers!(relay::latency),
    },
    Contest {
        name: "relay-nats",
        what: "Publish events that wait in PostgreSQL to NATS; events per second",
        needs: NEEDS_NATS,
        run: with_servers!(relay::to_nats),
    },
    Contest {
        name: "relay-kafka",
        what: "Publish events that wait in PostgreSQL to Kafka; events per second",
        needs: "what the contests with PostgreSQL need, and TEST_KAFKA_BROKERS",
        run: with_servers!(relay::to_kafka),
    },
    Contest {
        name: "import",
        what: "Import dogs over HTTP; rows per second",
        needs: "a build with the feature `servers`; stores without a server are left out",
        run: with_servers!(bulk::import),
    },
    Contest {
        name: "export",
        what: "Export all dogs with the command line, PostgreSQL; rows per second, start of the program included",
        needs: NEEDS_POSTGRES,
        run: with_servers!(bulk::export),
    },
    Contest {
        name: "list",
        what: "Read pages of 1,000 dogs, PostgreSQL, 4 clients; thousands of rows per second",
        needs: NEEDS_POSTGRES,
        run: with_servers!(bulk::list),
    },
    Contest {
        name: "growth-read",
        what: "Read random dogs without a cache from tables of different sizes, PostgreSQL, 64 clients",
        needs: NEEDS_POSTGRES,
        run: with_servers!(growth::read),
    },
    Contest {
        name: "growth-list",
        what: "Read pages of 50 dogs from tables of different sizes, PostgreSQL, 64 clients",
        needs: NEEDS_POSTGRES,
        run: with_servers!(growth::list),
    },
    Contest {
        name: "connections",
        what: "Read random dogs without a cache over different numbers of connections, PostgreSQL",
        needs: NEEDS_POSTGRES,
        run: with_servers!(growth::connections),
    },
    Contest {
        name: "start",
        what: "Start with SQLite until ready, median and longest; memory after a second without requests",
        needs: "",
        run: builds::start,
    },
    Contest {
        name: "memory",
        what: "Read, list and create dogs, SQLite, 64 clients; memory under load",
        needs: "",
        run: builds::load,
    },
    Contest {
        name: "cached-search",
        what: "Search for GIFs, answered from the memory cache, 64 clients",
        needs: "gif-pipeline in the folder of dogs",
        run: gifs::search,
    },
    Contest {
        name: "gif-file",
        what: "Download a GIF of 200 KB, 64 clients; nginx as one process, which reads the file",
        needs: "gif-pipeline in the folder of dogs, and TEST_NGINX",
        run: gifs::file,
    },
    Contest {
        name: "stored-gifs",
        what: "Find, download, check and store 1,000 small GIFs per second of a round with posters, SQLite and files",
        needs: "gif-pipeline in the folder of dogs",
        run: gifs::stored,
    },
];
