//! Benchmarks of the release build of dogs, as ratios to what a user would pick instead.
//!
//! `make bench` runs it. Service and baselines are measured in turn, in one run, by the same load generator; the results
//! are medians of the rounds. Baselines: axum and tonic without layers that respond with the same bytes, axum with the
//! client of a database and one statement per request, and pgbench. A contest whose servers or programs are missing is
//! reported as not run.

mod baseline;
mod contest;
mod contests;
mod h2load;
#[cfg(feature = "servers")]
mod pgbench;
mod report;
#[cfg(feature = "servers")]
mod servers;
mod service;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand};

use self::baseline::Baseline;
use self::contest::Rounds;
use self::contests::{Contest, Setup};
use self::report::Outcome;

/// Measure the release build of dogs against bare servers and pgbench.
#[derive(Debug, Parser)]
struct Options {
    /// The program to measure, with all backends.
    #[arg(long, default_value = "target/release/dogs")]
    service: PathBuf,
    /// The program with its default features, for contests of its start and its memory.
    #[arg(long)]
    embedded: Option<PathBuf>,
    /// The number of rounds; the results are medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// The duration of a round, in seconds; pgbench and h2load run for whole ones.
    #[arg(long, default_value = "2", value_parser = seconds)]
    seconds: Duration,
    /// The rows of the large table in contests of growth; filling one of 10,000,000 takes minutes.
    #[cfg(feature = "servers")]
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    rows: u32,
    /// Only contests whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Write the results to this file too, as Markdown.
    #[arg(long)]
    output: Option<PathBuf>,
    /// A baseline to serve, instead of benchmarks.
    #[command(subcommand)]
    baseline: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Serve a baseline; the program starts itself so, that it is a process as the service is.
    #[command(hide = true, subcommand)]
    Baseline(Baseline),
}

fn main() -> ExitCode {
    let options = Options::parse();
    let ran = match options.baseline {
        Some(Role::Baseline(baseline)) => baseline::serve(baseline),
        None => run(&options),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn seconds(text: &str) -> anyhow::Result<Duration> {
    let seconds = Duration::try_from_secs_f64(text.parse()?)?;
    ensure!((Duration::from_millis(100)..=Duration::from_mins(10)).contains(&seconds), "must be from 0.1 to 600");
    Ok(seconds)
}

fn run(options: &Options) -> anyhow::Result<()> {
    let setup = setup(options)?;
    let mut results = Vec::new();
    for contest in contests::ALL.iter().filter(|contest| contest.name.contains(&options.only)) {
        let outcome = match (contest.run)(&setup) {
            Ok(Some(scores)) => Outcome::Ran(scores),
            Ok(None) => Outcome::NotRun,
            Err(error) => Outcome::Failed(error),
        };
        println!("{}", report::contest(contest, &outcome));
        results.push((contest, outcome));
    }
    if let Some(file) = &options.output {
        let text = report::page(&results, &setup);
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let failed =
        |(contest, outcome): &(&Contest, Outcome)| matches!(outcome, Outcome::Failed(_)).then_some(contest.name);
    let failed: Vec<_> = results.iter().filter_map(failed).collect();
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

fn setup(options: &Options) -> anyhow::Result<Setup> {
    let program = |file: &PathBuf| {
        std::fs::canonicalize(file).with_context(|| format!("there is no {}; `make bench` builds it", file.display()))
    };
    Ok(Setup {
        service: program(&options.service)?,
        embedded: options.embedded.as_ref().map(program).transpose()?,
        rounds: Rounds { count: options.rounds, duration: options.seconds },
        #[cfg(feature = "servers")]
        rows: options.rows,
        #[cfg(feature = "servers")]
        servers: servers::Servers::new()?,
    })
}
