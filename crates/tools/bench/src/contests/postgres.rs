//! Contests with PostgreSQL.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use kennel_loadgen::{get, post};
use kennel_testkit::TestDatabase;
use tempfile::TempDir;

use crate::baseline::Baseline;
use crate::contest::{self, Contestant, Rounds, Score, Work};
use crate::pgbench;
use crate::service::{DOGS, Running};

/// The work.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Read random dogs.
    Read,
    /// Create a dog.
    Create,
}

/// Runs a contest on two new databases; `None` if there is no server.
pub(super) fn run(service: &Path, clients: usize, rounds: Rounds, kind: Kind) -> anyhow::Result<Option<Vec<Score>>> {
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
    Ok(Contestant { name, work: Work::Command { process: None, command: Box::new(command) } })
}
