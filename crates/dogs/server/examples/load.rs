//! Puts a running service under load, prints the results, and deletes the dogs it created.
//!
//! `make test-quick` and `make test-load` run it. It gives a first impression; it is not a benchmark.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Parser;
use kennel_loadgen::{Load, Measured, delete, get, post, send};
use serde_json::Value;

/// Load on a running dogs service.
#[derive(Debug, Clone, Parser)]
struct Options {
    /// Host and port of the service.
    #[arg(long, default_value = "localhost:8080")]
    server: String,
    /// The duration.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// The number of concurrent callers, each with one request at a time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=512))]
    workers: u16,
}

/// What callers do: its name, how many of 20 requests do it, and whether it creates a dog.
const KINDS: [(&str, usize, bool); 4] =
    [("create a dog", 3, true), ("fetch a picture", 1, true), ("read a dog", 12, false), ("list dogs", 4, false)];

/// The requests of each kind. Readers read `dog`.
fn requests(dog: &str) -> Vec<(usize, Vec<u8>)> {
    let kinds = [create(), get("/api/v1/dogs/husky/image"), get(&path(dog)), get("/api/v1/dogs?limit=20")];
    let times = KINDS.iter().map(|(_, times, _)| *times);
    kinds.into_iter().enumerate().zip(times).flat_map(|(request, times)| std::iter::repeat_n(request, times)).collect()
}

fn create() -> Vec<u8> {
    post("/api/v1/dogs", "application/json", r#"{"breed":"husky","name":"load"}"#)
}

fn path(dog: &str) -> String {
    format!("/api/v1/dogs/{dog}")
}

/// The id of a dog in a response.
fn id(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<Value>(body).ok()?["id"].as_str().map(str::to_owned)
}

fn server(options: &Options) -> anyhow::Result<SocketAddr> {
    let start = "start a service with `make run`, or name one with --server HOST:PORT";
    let addresses = options.server.to_socket_addrs().with_context(|| format!("{:?}: {start}", options.server))?;
    for address in addresses {
        if let Ok(response) = send(address, &get("/ready")) {
            ensure!(response.status == 200, "the service at {address} is not ready: {}", response.status);
            return Ok(address);
        }
    }
    anyhow::bail!("no service responds at {}; {start}", options.server)
}

fn load(options: &Options) -> anyhow::Result<u64> {
    let server = server(options)?;
    let created = send(server, &create())?;
    let dog = id(&created.body).with_context(|| format!("cannot create a dog: {}", created.status))?;
    let dogs = Arc::new(Mutex::new(vec![dog.clone()]));
    let seen = Arc::clone(&dogs);
    let on_response = move |kind: usize, body: &[u8]| {
        if KINDS[kind].2 {
            seen.lock().unwrap_or_else(PoisonError::into_inner).extend(id(body));
        }
    };
    let duration = Duration::from_secs(options.seconds);
    let load = Load { server, callers: options.workers.into(), duration, interval: Duration::ZERO };
    let measured = load.run_kinds(&requests(&dog), on_response);
    for dog in &*dogs.lock().unwrap_or_else(PoisonError::into_inner) {
        // A failed deletion does not affect the results.
        drop(send(server, &delete(&path(dog))));
    }
    Ok(print(&measured?))
}

/// Prints the results; returns the number of failures.
fn print(measured: &[Measured]) -> u64 {
    println!(
        "{:<16} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9}",
        "", "requests", "per s", "p50 ms", "p95 ms", "p99 ms", "max ms", "failed"
    );
    let mut all = Measured::default();
    for ((name, ..), of_kind) in KINDS.iter().zip(measured) {
        row(name, of_kind);
        for (status, times) in of_kind.failures() {
            println!("    {times} x status {status}");
        }
        all.add(of_kind.clone());
        all.took = of_kind.took;
    }
    row("all", &all);
    all.failed()
}

fn row(name: &str, measured: &Measured) {
    let [p50, p95, p99, max] =
        [0.5, 0.95, 0.99, 1.0].map(|fraction| measured.percentile(fraction).as_secs_f64() * 1_000.0);
    let (responses, rate, failed) = (measured.responses(), measured.rate(), measured.failed());
    println!("{name:<16} {responses:>9} {rate:>8.0} {p50:>8.1} {p95:>8.1} {p99:>8.1} {max:>8.1} {failed:>9}");
}

fn main() -> ExitCode {
    let options = Options::parse();
    println!("{} callers for {} s at {}", options.workers, options.seconds, options.server);
    match load(&options) {
        Ok(failed) => ExitCode::from(u8::from(failed > 0)),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
