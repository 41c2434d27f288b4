//! PostgreSQL's own benchmark.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

/// Inserts one row, whose id rises with the time, as those of dogs do: random ones would write to the whole index.
const INSERTS: &str = "INSERT INTO bare_dogs VALUES (
    (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || right(gen_random_uuid()::text, 23))::uuid,
    'husky', NULL, NULL, 1, 0, 0);\n";

/// Whether the program is installed.
pub(crate) fn is_installed() -> bool {
    Command::new("pgbench").arg("--version").output().is_ok()
}

/// Creates the tables of the standard benchmark, 100,000 accounts.
pub(crate) fn initialize(dsn: &str) -> anyhow::Result<()> {
    run(&["-i", "-q", "-s", "1", dsn]).map(drop)
}

/// Transactions per second of reads of one account by its key.
pub(crate) fn reads(dsn: &str, clients: usize, duration: Duration) -> anyhow::Result<f64> {
    measure(dsn, clients, duration, &["-S"])
}

/// Transactions per second of inserts of one row.
pub(crate) fn inserts(dsn: &str, directory: &Path, clients: usize, duration: Duration) -> anyhow::Result<f64> {
    let script = directory.join("insert.sql");
    std::fs::write(&script, INSERTS)?;
    measure(dsn, clients, duration, &["-f", script.to_str().context("a path is text")?])
}

fn measure(dsn: &str, clients: usize, duration: Duration, work: &[&str]) -> anyhow::Result<f64> {
    let (clients, seconds) = (clients.to_string(), duration.as_secs().max(1).to_string());
    let common = ["-n", "-M", "prepared", "-c", &clients, "-j", "1", "-T", &seconds];
    let output = run(&[&common[..], work, &[dsn]].concat())?;
    if output.contains("actually processed: 0") {
        return Ok(0.0);
    }
    let rate = output.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.with_context(|| format!("pgbench prints no rate:\n{output}"))
}

fn run(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("pgbench").args(arguments).output().context("cannot start pgbench")?;
    ensure!(output.status.success(), "pgbench: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
