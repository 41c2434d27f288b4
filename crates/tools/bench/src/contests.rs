//! The contests.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use kennel_loadgen::{get, post, send};
use kennel_testkit::TestDatabase;
use serde_json::Value;
use tempfile::TempDir;

use crate::baseline::Baseline;
use crate::contest::{self, ContestResult, Contestant, Rounds, Work};
use crate::pgbench;
use crate::service::{DOGS, Running};

/// Their names.
pub(crate) const ALL: [&str; 4] = ["hot-read", "cold-read", "cold-read-few", "create"];

/// Clients of a busy service.
const MANY: usize = 64;
/// Clients that leave the database idle at times.
const FEW: usize = 4;

/// Runs a contest; `None` if there is no PostgreSQL server for it.
pub(crate) fn run(name: &'static str, service: &Path, rounds: Rounds) -> anyhow::Result<Option<ContestResult>> {
    let result = |what, scores| ContestResult { name, what, scores };
    Ok(match name {
        "hot-read" => Some(result("Read one dog that the memory cache has, SQLite, 64 clients", hot(service, rounds)?)),
        "create" => postgres(service, MANY, rounds, Kind::Create)?
            .map(|scores| result("Create a dog with its event, PostgreSQL, 64 clients", scores)),
        "cold-read" => postgres(service, MANY, rounds, Kind::Read)?
            .map(|scores| result("Read random dogs without a cache, PostgreSQL, 64 clients", scores)),
        _ => postgres(service, FEW, rounds, Kind::Read)?
            .map(|scores| result("Read random dogs without a cache, PostgreSQL, 4 clients", scores)),
    })
}

fn hot(service: &Path, rounds: Rounds) -> anyhow::Result<Vec<contest::Score>> {
    let dogs = Running::service(service, &[])?;
    let created = send(dogs.http, &post("/api/v1/dogs", "application/json", r#"{"breed":"husky"}"#))?;
    ensure!(created.status == 201, "create: {}", String::from_utf8_lossy(&created.body));
    let dog: Value = serde_json::from_slice(&created.body)?;
    let requests = vec![get(&format!("/api/v1/dogs/{}", dog["id"].as_str().context("a dog has an id")?))];
    let bare = Running::baseline(&Baseline::Axum { body: String::from_utf8(created.body)? })?;
    let contestants = [
        Contestant { name: "dogs", work: Work::Http { process: dogs, requests: requests.clone() } },
        Contestant { name: "axum, the same bytes", work: Work::Http { process: bare, requests } },
    ];
    contest::run(&contestants, MANY, rounds)
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Read,
    Create,
}

fn postgres(service: &Path, clients: usize, rounds: Rounds, kind: Kind) -> anyhow::Result<Option<Vec<contest::Score>>> {
    let runtime = tokio::runtime::Runtime::new()?;
    // Two databases, so that neither sees the other's work in its statistics.
    let created = runtime.block_on(async { Some((TestDatabase::postgres().await?, TestDatabase::postgres().await?)) });
    let Some((ours, bare)) = created else { return Ok(None) };
    let dogs = start(service, &ours.dsn())?;
    let ids = dogs.seed()?;
    let dsn = bare.dsn();
    let baseline = Running::baseline(&Baseline::Postgres { dsn: dsn.clone(), rows: i64::try_from(DOGS)? })?;
    let (requests, bare_requests) = match kind {
        Kind::Read => (ids, (0..DOGS).map(|n| get(&format!("/dogs/{n:032x}"))).collect()),
        Kind::Create => (
            vec![post("/api/v1/dogs", "application/json", r#"{"breed":"husky"}"#)],
            vec![post("/dogs", "application/json", "{}")],
        ),
    };
    let mut contestants = vec![
        Contestant { name: "dogs", work: Work::Http { process: dogs, requests } },
        Contestant { name: "axum and sqlx", work: Work::Http { process: baseline, requests: bare_requests } },
    ];
    if pgbench::is_installed() {
        contestants.push(of_pgbench(dsn, clients, kind)?);
    }
    let scores = contest::run(&contestants, clients, rounds)?;
    drop(contestants);
    drop(runtime);
    Ok(Some(scores))
}

fn start(service: &Path, dsn: &str) -> anyhow::Result<Running> {
    let env = [("STORAGE", "postgres"), ("POSTGRES_DSN", dsn), ("CACHE", "none")];
    let migrated = std::process::Command::new(service).args(["migrate", "up"]).env_clear().envs(env).output()?;
    ensure!(migrated.status.success(), "migrate: {}", String::from_utf8_lossy(&migrated.stderr));
    Running::service(service, &env)
}

fn of_pgbench(dsn: String, clients: usize, kind: Kind) -> anyhow::Result<Contestant> {
    let name = match kind {
        Kind::Read => "pgbench -S -M prepared",
        Kind::Create => "pgbench, one insert",
    };
    let directory = TempDir::new()?;
    pgbench::initialize(&dsn)?;
    let command = move |duration: Duration| match kind {
        Kind::Read => pgbench::reads(&dsn, clients, duration),
        Kind::Create => pgbench::inserts(&dsn, directory.path(), clients, duration),
    };
    Ok(Contestant { name, work: Work::Command(Box::new(command)) })
}
