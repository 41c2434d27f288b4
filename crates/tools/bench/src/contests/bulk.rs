//! Contests of many rows at once.

use std::io::Read as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use kennel_loadgen::{get, post, send};

use super::growth::page_before;
use super::{FEW, Setup};
use crate::baseline::Baseline;
use crate::contest::{self, Contestant, Score};
use crate::servers::Store;
use crate::service::{DOGS, PAGE, Running};

/// Lines of an import, for each second of a round.
const LINES_PER_SECOND: f64 = 25_000.0;
/// Rows of an export.
const EXPORTED: u32 = 100_000;
const NDJSON: &str = "application/x-ndjson";
const COPY: &str = "COPY (SELECT id, breed, name, image_url, created_at FROM dogs ORDER BY id) TO STDOUT";

/// Imports into each store that has a server.
pub(super) fn import(setup: &Setup) -> anyhow::Result<Option<Vec<Score>>> {
    let (mut contestants, mut databases) = (Vec::new(), Vec::new());
    for store in Store::ALL {
        let Some(database) = setup.servers.migrated(store, &setup.service)? else { continue };
        let dogs = database.start(&setup.service, &[])?;
        let server = dogs.http;
        let command = move |duration| import_lines(server, duration);
        contestants.push(Contestant::command(format!("dogs, {}", store.name()), Some(dogs), command));
        databases.push(database);
    }
    contest::run(contestants, setup.rounds).map(Some)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a small count"
)]
fn import_lines(server: SocketAddr, duration: Duration) -> anyhow::Result<f64> {
    let lines = (LINES_PER_SECOND * duration.as_secs_f64()) as usize;
    let request = post("/api/v1/dogs/import", NDJSON, &"{\"breed\":\"husky\",\"name\":\"Rex\"}\n".repeat(lines));
    let started = Instant::now();
    let response = send(server, &request)?;
    let took = started.elapsed();
    ensure!(response.status == 200, "import: {}", String::from_utf8_lossy(&response.body));
    Ok(lines as f64 / took.as_secs_f64())
}

/// Exports with the command line, and with `COPY` of psql.
pub(super) fn export(setup: &Setup) -> anyhow::Result<Option<Vec<Score>>> {
    let Some(database) = setup.servers.filled(EXPORTED, &setup.service)? else { return Ok(None) };
    let (program, exported) = (setup.service.clone(), Rc::clone(&database));
    let folder = tempfile::tempdir()?;
    let dogs = move |_: Duration| {
        let mut command = Command::new(&program);
        rows_per_second(command.arg("export").env_clear().envs(exported.env()).current_dir(folder.path()))
    };
    let mut contestants = vec![Contestant::command("dogs export", None, dogs)];
    if Command::new("psql").arg("--version").output().is_ok() {
        let dsn = database.dsn.clone();
        let psql = move |_: Duration| rows_per_second(Command::new("psql").args(["-q", &dsn, "-c", COPY]));
        contestants.push(Contestant::command("psql, COPY of the same rows", None, psql));
    }
    contest::run(contestants, setup.rounds).map(Some)
}

/// Runs a command that prints a line for each exported row.
fn rows_per_second(command: &mut Command) -> anyhow::Result<f64> {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {command:?}"))?;
    let mut output = child.stdout.take().context("no output")?;
    let (mut chunk, mut lines) = (vec![0; 64 * 1024], 0);
    while let length @ 1.. = output.read(&mut chunk)? {
        lines += chunk[..length].iter().map(|byte| u32::from(*byte == b'\n')).sum::<u32>();
    }
    let took = started.elapsed();
    ensure!(child.wait()?.success() && lines == EXPORTED, "{command:?} printed {lines} lines");
    Ok(f64::from(lines) / took.as_secs_f64())
}

/// Reads long pages.
pub(super) fn list(setup: &Setup) -> anyhow::Result<Option<Vec<Score>>> {
    let Some(database) = setup.servers.filled(DOGS, &setup.service)? else { return Ok(None) };
    let Some(bare_database) = setup.servers.database(Store::Postgres)? else { return Ok(None) };
    let dogs = database.start(&setup.service, &[])?;
    let bare = Running::baseline(&Baseline::Postgres { dsn: bare_database.dsn.clone(), rows: DOGS })?;
    let pages = (1..=DOGS / PAGE).map(|page| page_before(page * PAGE, PAGE));
    let bare_pages = (0..DOGS / PAGE).map(|page| get(&format!("/dogs?after={:032x}&limit={PAGE}", page * PAGE)));
    let contestants = vec![
        Contestant::http("dogs", dogs, pages.collect(), FEW),
        Contestant::http("axum and sqlx", bare, bare_pages.collect(), FEW),
    ];
    contest::run(contestants, setup.rounds).map(Some)
}
