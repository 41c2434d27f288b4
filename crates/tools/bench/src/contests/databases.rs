//! Contests of requests that a database answers.

use anyhow::Context as _;
use kennel_loadgen::{get, post};
use tempfile::TempDir;

use super::{MANY, Setup};
use crate::baseline::Baseline;
use crate::contest::{self, Contestant, Score};
use crate::pgbench;
use crate::servers::{Database, Store};
use crate::service::{DOGS, Running};

/// Reads random dogs; `None` without a server.
pub(super) fn read(setup: &Setup, store: Store, clients: usize) -> anyhow::Result<Option<Vec<Score>>> {
    let Some(pair) = Pair::start(setup, store)? else { return Ok(None) };
    let ids = pair.dogs.seed()?;
    let bare_ids = (0..DOGS).map(|number| get(&format!("/dogs/{number:032x}"))).collect();
    let mut contestants = vec![
        Contestant::http("dogs", pair.dogs, ids, clients),
        Contestant::http(pair.bare_name, pair.bare, bare_ids, clients),
    ];
    if store == Store::Postgres && pgbench::is_installed() {
        let dsn = pair.bare_database.dsn.clone();
        pgbench::initialize(&dsn)?;
        let command = move |duration| pgbench::reads(&dsn, clients, duration);
        contestants.push(Contestant::command("pgbench -S -M prepared", None, command));
    }
    contest::run(contestants, setup.rounds).map(Some)
}

/// Creates dogs; `None` without a server.
pub(super) fn create(setup: &Setup, store: Store) -> anyhow::Result<Option<Vec<Score>>> {
    let Some(pair) = Pair::start(setup, store)? else { return Ok(None) };
    // As many rows as the other table has.
    pair.dogs.seed()?;
    let create = vec![post("/api/v1/dogs", "application/json", r#"{"breed":"husky"}"#)];
    let bare_create = vec![post("/dogs", "application/json", "{}")];
    let mut contestants = vec![
        Contestant::http("dogs", pair.dogs, create, MANY),
        Contestant::http(pair.bare_name, pair.bare, bare_create, MANY),
    ];
    if store == Store::Postgres && pgbench::is_installed() {
        let (dsn, directory) = (pair.bare_database.dsn.clone(), TempDir::new()?);
        let command = move |duration| pgbench::inserts(&dsn, directory.path(), MANY, duration);
        contestants.push(Contestant::command("pgbench, one insert", None, command));
    }
    contest::run(contestants, setup.rounds).map(Some)
}

/// The service and its bare twin, on two new databases, so that neither sees the other's work in its statistics.
struct Pair {
    dogs: Running,
    bare: Running,
    bare_name: &'static str,
    _database: Database,
    bare_database: Database,
}

impl Pair {
    fn start(setup: &Setup, store: Store) -> anyhow::Result<Option<Self>> {
        let Some(database) = setup.servers.migrated(store, &setup.service)? else { return Ok(None) };
        let bare_database = setup.servers.database(store)?.context("the server of the other database")?;
        let (dsn, rows) = (bare_database.dsn.clone(), DOGS);
        let (bare, bare_name) = match store {
            Store::Mysql => (Baseline::Mysql { dsn, rows }, "axum and sqlx"),
            Store::ClickHouse => (Baseline::ClickHouse { dsn, rows }, "axum and clickhouse"),
            Store::Sqlite | Store::Postgres => (Baseline::Postgres { dsn, rows }, "axum and sqlx"),
        };
        let dogs = database.start(&setup.service, &[])?;
        Ok(Some(Self { dogs, bare: Running::baseline(&bare)?, bare_name, _database: database, bare_database }))
    }
}
