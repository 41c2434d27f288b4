//! Benchmarks of the release build of dogs, as ratios to what a user would pick instead.
//!
//! `make bench` runs it. Service and baselines are measured in turn, in one run, by the same load generator; the results
//! are medians of the rounds. Baselines: axum and tonic without layers that respond with the same bytes, axum with sqlx and
//! one statement per request, and pgbench. Contests with PostgreSQL need a server in `TEST_POSTGRES_DSN`, those with gRPC h2load.

mod baseline;
mod contest;
mod contests;
mod h2load;
#[cfg(feature = "postgres")]
mod pgbench;
mod report;
mod service;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use self::baseline::Baseline;
use self::contest::Rounds;

/// Measure the release build of dogs against bare servers and pgbench.
#[derive(Debug, Parser)]
struct Options {
    /// The program to measure.
    #[arg(long, default_value = "target/release/dogs")]
    service: PathBuf,
    /// The number of rounds; the results are medians.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// The duration of a round, in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
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

fn run(options: &Options) -> anyhow::Result<()> {
    let service = std::fs::canonicalize(&options.service);
    let service =
        service.with_context(|| format!("there is no {}; `make bench` builds it", options.service.display()))?;
    let rounds = Rounds { count: options.rounds, duration: Duration::from_secs(options.seconds) };
    let mut results = Vec::new();
    for name in contests::ALL.iter().filter(|name| name.contains(&options.only)) {
        match contests::run(name, &service, rounds).with_context(|| format!("contest `{name}`"))? {
            Some(result) => {
                println!("{}", report::contest(&result));
                results.push(result);
            }
            None => println!("### {name}\n\nNot run: {}.\n", contests::needs(name)),
        }
    }
    if let Some(file) = &options.output {
        let text = report::page(&results, &service, rounds);
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
