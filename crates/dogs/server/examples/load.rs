//! Puts a running service under load, prints the results, and deletes the dogs it created.
//!
//! `make test-quick` and `make test-load` run it. It gives a first impression; it is not a benchmark.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Parser;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Load on a running dogs service.
#[derive(Debug, Clone, Parser)]
struct Options {
    /// The base URL of the service.
    #[arg(long, default_value = "http://localhost:8080")]
    url: String,
    /// The duration.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// The number of concurrent callers, each with one request at a time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=512))]
    workers: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    Create,
    Fetch,
    Read,
    List,
}

impl Operation {
    const ALL: [Self; 4] = [Self::Create, Self::Fetch, Self::Read, Self::List];

    /// The operation of the `turn`th request of a caller: of 20, 3 create, 1 fetches an image, 4 list and 12 read.
    const fn of(turn: usize) -> Self {
        match turn % 20 {
            0 | 7 | 14 => Self::Create,
            10 => Self::Fetch,
            3 | 8 | 13 | 18 => Self::List,
            _ => Self::Read,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Create => "create a dog",
            Self::Fetch => "fetch a picture",
            Self::Read => "read a dog",
            Self::List => "list dogs",
        }
    }
}

/// The results of an operation.
#[derive(Debug, Default)]
struct OperationResults {
    took: Vec<Duration>,
    failures: BTreeMap<String, u64>,
}

type Report = BTreeMap<Operation, OperationResults>;

/// One caller, with the dogs it created.
struct Caller {
    client: Client,
    url: String,
    dogs: Vec<String>,
    report: Report,
}

impl Caller {
    async fn run(mut self, until: Instant) -> Self {
        let mut turn = 0;
        while Instant::now() < until {
            self.call(Operation::of(turn), turn).await;
            turn += 1;
        }
        self
    }

    async fn call(&mut self, operation: Operation, turn: usize) {
        let started = Instant::now();
        let outcome = self.send(operation, turn).await;
        let seen = self.report.entry(operation).or_default();
        seen.took.push(started.elapsed());
        match outcome {
            Ok(dog) => self.dogs.extend(dog),
            Err(reason) => *seen.failures.entry(reason).or_default() += 1,
        }
    }

    /// Sends the request; returns the dog that it created, if any.
    async fn send(&self, operation: Operation, turn: usize) -> Result<Option<String>, String> {
        let dogs = format!("{}/api/v1/dogs", self.url);
        let request = match operation {
            Operation::Create => self.client.post(dogs).json(&json!({ "breed": "husky", "name": "load" })),
            Operation::Fetch => self.client.get(format!("{dogs}/husky/image")),
            Operation::List => self.client.get(format!("{dogs}?limit=20")),
            // The first request created a dog, unless it failed, which is reported separately.
            Operation::Read => match self.dogs.get(turn % self.dogs.len().max(1)) {
                Some(dog) => self.client.get(format!("{dogs}/{dog}")),
                None => self.client.get(dogs),
            },
        };
        let response = request.send().await.map_err(|error| reason(&error))?;
        let body = read(response).await?;
        let creates = matches!(operation, Operation::Create | Operation::Fetch);
        Ok(creates.then(|| body["id"].as_str().map(str::to_owned)).flatten())
    }

    async fn clean_up(&mut self) {
        for dog in self.dogs.drain(..) {
            // A failed deletion does not affect the results.
            drop(self.client.delete(format!("{}/api/v1/dogs/{dog}", self.url)).send().await);
        }
    }
}

async fn read(response: Response) -> Result<Value, String> {
    let status = response.status();
    let body: Value = response.json().await.map_err(|error| reason(&error))?;
    if status.is_success() { Ok(body) } else { Err(format!("{status}: {}", body["code"])) }
}

fn reason(error: &reqwest::Error) -> String {
    let kind = if error.is_timeout() { "no response in time" } else { "no connection, or a broken one" };
    kind.to_owned()
}

fn client() -> anyhow::Result<Client> {
    // The client requires a TLS provider even for plain HTTP.
    rustls::crypto::ring::default_provider().install_default().ok();
    Ok(Client::builder().timeout(Duration::from_secs(30)).build()?)
}

async fn ready(client: &Client, url: &str) -> anyhow::Result<()> {
    let start = "start a service with `make run`, or name one with --url";
    let response = client.get(format!("{url}/ready")).send().await;
    let response = response.with_context(|| format!("no service responds at {url}; {start}"))?;
    if !response.status().is_success() {
        bail!("the service at {url} is not ready: {}", response.status());
    }
    Ok(())
}

async fn load(options: &Options) -> anyhow::Result<(Report, Duration)> {
    let url = options.url.trim_end_matches('/').to_owned();
    let client = client()?;
    ready(&client, &url).await?;
    let started = Instant::now();
    let until = started + Duration::from_secs(options.seconds);
    let mut callers = JoinSet::new();
    for _ in 0..options.workers {
        let caller = Caller { client: client.clone(), url: url.clone(), dogs: Vec::new(), report: Report::new() };
        callers.spawn(caller.run(until));
    }
    let callers = callers.join_all().await;
    let took = started.elapsed();
    let mut total = Report::new();
    for mut caller in callers {
        caller.clean_up().await;
        merge(&mut total, caller.report);
    }
    Ok((total, took))
}

fn merge(total: &mut Report, report: Report) {
    for (operation, seen) in report {
        let sum = total.entry(operation).or_default();
        sum.took.extend(seen.took);
        for (reason, times) in seen.failures {
            *sum.failures.entry(reason).or_default() += times;
        }
    }
}

/// The percentile of the sorted times.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).map_or(0.0, Duration::as_secs_f64) * 1_000.0
}

fn print(mut report: Report, took: Duration) -> u64 {
    println!(
        "{:<16} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9}",
        "", "requests", "per s", "p50 ms", "p95 ms", "p99 ms", "max ms", "failed"
    );
    let mut all = Vec::new();
    let mut failed = 0;
    for operation in Operation::ALL {
        let seen = report.remove(&operation).unwrap_or_default();
        let failures: u64 = seen.failures.values().sum();
        row(operation.name(), seen.took.clone(), took, failures);
        for (reason, times) in &seen.failures {
            println!("    {times} x {reason}");
        }
        all.extend(seen.took);
        failed += failures;
    }
    row("all", all, took, failed);
    failed
}

fn row(name: &str, mut times: Vec<Duration>, took: Duration, failed: u64) {
    times.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "a count of requests is small")]
    let rate = times.len() as f64 / took.as_secs_f64();
    let [p50, p95, p99, max] = [50, 95, 99, 100].map(|percent| percentile(&times, percent));
    println!("{name:<16} {:>9} {rate:>8.0} {p50:>8.1} {p95:>8.1} {p99:>8.1} {max:>8.1} {failed:>9}", times.len());
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    println!("{} callers for {} s at {}", options.workers, options.seconds, options.url);
    match load(&options).await {
        Ok((report, took)) => ExitCode::from(u8::from(print(report, took) > 0)),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
