//! Creates dogs at a steady rate during an outage of the broker, and reports its effects.
//!
//! It starts a service with a real broker, named by `TEST_NATS_URL`, `TEST_KAFKA_BROKERS` or
//! `TEST_RABBITMQ_URL`, through a proxy that fails on demand; no server is stopped. At the end it reads all events of the
//! history and compares them: `cargo run --release --example outage --features full -- --broker nats --outage 60`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::{Parser, ValueEnum};
use futures_util::StreamExt as _;
use kennel_core::{Clock as _, SystemClock};
use kennel_testkit::broker_namespace::ProxiedBroker;
use kennel_testkit::process::{Launch, ServiceProcess};
use kennel_testkit::{Mode, TestDatabase};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// Every n-th dog is updated twice right after it was created: its three events must arrive in order.
const UPDATE_INTERVAL: usize = 10;
/// An event that arrives later than this was delayed.
const LATE: Duration = Duration::from_secs(1);
/// The maximum time to publish the backlog after the outage.
const DRAIN_TIMEOUT: Duration = Duration::from_mins(10);

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Broker {
    Nats,
    Kafka,
    Rabbitmq,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Store {
    Sqlite,
    Postgres,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Fault {
    /// Connections are closed.
    Drop,
    /// Connections stay open and silent.
    Silent,
}

/// A temporary outage of the broker.
#[derive(Debug, Clone, Parser)]
struct Options {
    /// The binary of the service.
    #[arg(long, default_value = "target/release/dogs")]
    binary: PathBuf,
    /// The broker.
    #[arg(long, value_enum)]
    broker: Broker,
    /// The store; `postgres` is the server of `TEST_POSTGRES_DSN`.
    #[arg(long, value_enum, default_value = "postgres")]
    store: Store,
    /// The kind of outage.
    #[arg(long, value_enum, default_value = "drop")]
    fault: Fault,
    /// The duration of the outage, in seconds.
    #[arg(long, default_value_t = 60)]
    outage: u64,
    /// How many seconds dogs are created before and after the outage.
    #[arg(long, default_value_t = 10)]
    around: u64,
    /// Dogs created per second.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
}

/// The service and its backends. Everything is stopped when the value is dropped.
struct Service {
    process: ServiceProcess,
    url: String,
    metrics: String,
    broker: ProxiedBroker,
    _database: Option<TestDatabase>,
    _folder: tempfile::TempDir,
}

impl Service {
    async fn start(options: &Options) -> anyhow::Result<Self> {
        let broker = match options.broker {
            Broker::Nats => ProxiedBroker::nats().await,
            Broker::Kafka => ProxiedBroker::kafka().await,
            Broker::Rabbitmq => ProxiedBroker::rabbit(&["dogs.events"], &["dogs.thumbnailer"], 8).await,
        };
        let broker = broker.context("there is no such broker to test against")?;
        let database = match options.store {
            Store::Sqlite => None,
            Store::Postgres => Some(TestDatabase::postgres().await.context("there is no database to test against")?),
        };
        let (folder, binary) = (tempfile::tempdir()?, options.binary.canonicalize()?);
        let mut variables = broker.proxied().to_vec();
        variables.extend(["SERVER_PORT", "GRPC_PORT", "PROMETHEUS_PORT"].map(|port| (port, "0".to_owned())));
        if let Some(database) = &database {
            variables.extend([("STORAGE", "postgres".to_owned()), ("POSTGRES_DSN", database.dsn())]);
        }
        let mut process = launch(&binary, folder.path(), &variables);
        let (http, sys) = (process.listener("http").await, process.listener("sys").await);
        process.ready(sys, "/ready").await;
        let (url, metrics) = (format!("http://{http}/api/v1"), format!("http://{sys}/metrics"));
        Ok(Self { process, url, metrics, broker, _database: database, _folder: folder })
    }
}

fn launch(binary: &Path, directory: &Path, variables: &[(&'static str, String)]) -> ServiceProcess {
    let env: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    ServiceProcess::start(&Launch { binary, args: &["serve"], env: &env, directory })
}

/// The results of the requests that were started in one phase.
#[derive(Debug, Default)]
struct PhaseResults {
    took: Vec<Duration>,
    failed: Vec<String>,
}

#[derive(Debug, Default)]
struct Results {
    phases: BTreeMap<&'static str, PhaseResults>,
    /// The created dogs, with the number of events of each.
    dogs: BTreeMap<String, usize>,
}

/// Creates a dog and updates it `changes` times. Returns the duration of the creation, the id and the number of events.
async fn create(client: &Client, url: &str, changes: usize) -> Result<(Duration, String, usize), String> {
    let message = |error: reqwest::Error| error.without_url().to_string();
    let started = Instant::now();
    let dog = json!({ "breed": "husky", "name": "outage" });
    let response = client.post(format!("{url}/dogs")).json(&dog).send().await.map_err(message)?;
    let status = response.status();
    let body: Value = response.json().await.map_err(message)?;
    let took = started.elapsed();
    let id = body["id"].as_str().filter(|_| status == 201).ok_or_else(|| format!("{status}: {body}"))?.to_owned();
    for change in 0..changes {
        let change = json!({ "name": change.to_string() });
        let response = client.patch(format!("{url}/dogs/{id}")).json(&change).send().await.map_err(message)?;
        if response.status() != 200 {
            return Err(format!("an update: {}", response.status()));
        }
    }
    Ok((took, id, 1 + changes))
}

/// Creates dogs at the rate in each phase, without waiting for responses. Also returns the end of the outage.
async fn load(service: &Service, client: &Client, options: &Options) -> (Results, Instant) {
    let mut outage_end = Instant::now();
    let (mut results, mut requests, mut number) = (Results::default(), JoinSet::new(), 0);
    let mut tick = interval(Duration::from_secs(1) / options.rate);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let fault = match options.fault {
        Fault::Drop => Mode::Drop,
        Fault::Silent => Mode::BlackHole,
    };
    let around = options.around;
    for (name, seconds, mode) in
        [("before", around, Mode::Pass), ("outage", options.outage, fault), ("after", around, Mode::Pass)]
    {
        service.broker.faults().set(mode);
        outage_end = Instant::now();
        let until = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < until {
            tick.tick().await;
            number += 1;
            let (client, url) = (client.clone(), service.url.clone());
            let changes = if number % UPDATE_INTERVAL == 0 { 2 } else { 0 };
            requests.spawn(async move { (name, create(&client, &url, changes).await) });
            while let Some(Ok(created)) = requests.try_join_next() {
                results.add(created);
            }
        }
    }
    while let Some(Ok(created)) = requests.join_next().await {
        results.add(created);
    }
    (results, outage_end)
}

impl Results {
    fn add(&mut self, (phase, created): (&'static str, Result<(Duration, String, usize), String>)) {
        let phase = self.phases.entry(phase).or_default();
        match created {
            Ok((took, dog, events)) => {
                phase.took.push(took);
                self.dogs.insert(dog, events);
            }
            Err(reason) => phase.failed.push(reason),
        }
    }
}

async fn pending(client: &Client, metrics: &str) -> anyhow::Result<u64> {
    let text = client.get(metrics).send().await?.text().await?;
    let line = text.lines().find_map(|line| line.strip_prefix("outbox_pending "));
    Ok(line.context("the metric outbox_pending is missing")?.parse()?)
}

/// The events of each dog, in the order of their first arrival, with the number of arrivals.
type Received = BTreeMap<String, Vec<(String, usize)>>;

/// Reads events after `last`, or live ones, up to the first one of the dog `until`. Also returns when the last event that
/// was [`LATE`] arrived.
async fn read(
    client: &Client,
    url: &str,
    last: Option<&str>,
    until: watch::Receiver<Option<String>>,
) -> anyhow::Result<(Received, Instant)> {
    let mut request = client.get(format!("{url}/events")).header("accept", "text/event-stream");
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let mut chunks = request.send().await?.error_for_status()?.bytes_stream();
    let (mut text, mut received, mut late) = (String::new(), Received::new(), Instant::now());
    while let Some(chunk) = chunks.next().await {
        text.push_str(std::str::from_utf8(&chunk?).context("events are text")?);
        while let Some((block, rest)) = text.split_once("\n\n") {
            let (block, rest) = (block.to_owned(), rest.to_owned());
            text = rest;
            let Some(data) = block.lines().find_map(|line| line.strip_prefix("data: ")) else { continue };
            ensure!(!block.contains("event: reset"), "the stream was reset");
            let event: Value = serde_json::from_str(data)?;
            let subject = event["subject"].as_str().unwrap_or_default().to_owned();
            if until.borrow().as_ref() == Some(&subject) {
                return Ok((received, late));
            }
            if SystemClock.now().since(serde_json::from_value(event["time"].clone())?) > LATE {
                late = Instant::now();
            }
            let kind = format!("{} {}", event["type"].as_str().unwrap_or_default(), event["data"]["revision"]);
            let events = received.entry(subject).or_default();
            match events.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, times)) => *times += 1,
                None => events.push((kind, 1)),
            }
        }
    }
    bail!("the stream ended")
}

/// The numbers of lost events, of duplicates, and of dogs whose events are out of order.
fn compare(results: &Results, received: &Received) -> (usize, usize, usize) {
    let expected = ["dogs.created null", "dogs.updated 2", "dogs.updated 3"];
    let (mut lost, mut twice, mut disordered) = (0, 0, 0);
    for (dog, &events) in &results.dogs {
        let events_of_dog = received.get(dog).map(Vec::as_slice).unwrap_or_default();
        let kinds: BTreeSet<_> = events_of_dog.iter().map(|(kind, _)| kind.as_str()).collect();
        lost += expected[..events].iter().filter(|kind| !kinds.contains(**kind)).count();
        twice += events_of_dog.iter().map(|(_, times)| times - 1).sum::<usize>();
        let order: Vec<_> =
            events_of_dog.iter().filter_map(|(kind, _)| expected.iter().position(|one| one == kind)).collect();
        disordered += usize::from(!order.is_sorted());
    }
    (lost, twice, disordered)
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).map_or(0.0, Duration::as_secs_f64) * 1_000.0
}

fn print(results: &mut Results) -> usize {
    let mut all_failed = 0;
    for (name, phase) in &mut results.phases {
        phase.took.sort_unstable();
        let [p50, p99, max] = [50, 99, 100].map(|percent| percentile(&phase.took, percent));
        let (completed, failed) = (phase.took.len(), phase.failed.len());
        println!(
            "{name:<7} {completed:>6} created  p50 {p50:.1} ms  p99 {p99:.1} ms  max {max:.1} ms  {failed} failed"
        );
        for reason in phase.failed.iter().collect::<BTreeSet<_>>() {
            println!("        {reason}");
        }
        all_failed += failed;
    }
    all_failed
}

/// The id of an event before all later ones. Creates dogs until an event arrives, because a service may not have subscribed
/// to the broker yet.
async fn anchor(client: &Client, service: &Service) -> anyhow::Result<String> {
    let mut stream = client.get(format!("{}/events", service.url)).send().await?.bytes_stream();
    let mut text = String::new();
    loop {
        create(client, &service.url, 0).await.map_err(anyhow::Error::msg)?;
        while let Ok(chunk) = timeout(LATE, stream.next()).await {
            text.push_str(&String::from_utf8_lossy(&chunk.context("the stream ended")??));
            if let Some(id) = text.lines().find_map(|line| line.strip_prefix("id: ")).filter(|id| id.len() == 36) {
                return Ok(id.to_owned());
            }
        }
    }
}

/// Scrapes the backlog until the task is dropped; sends the maximum.
async fn watch_backlog(client: Client, metrics: String, max: watch::Sender<u64>) {
    loop {
        if let Ok(pending) = pending(&client, &metrics).await {
            max.send_if_modified(|max| pending > std::mem::replace(max, pending.max(*max)));
        }
        sleep(Duration::from_millis(500)).await;
    }
}

async fn run(options: &Options) -> anyhow::Result<bool> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = Client::builder().build()?;
    let service = Service::start(options).await?;
    let anchor = timeout(DRAIN_TIMEOUT, anchor(&client, &service)).await??;
    let (until, marker) = watch::channel(None);
    let (max, max_pending) = watch::channel(0);
    let mut background = JoinSet::new();
    background.spawn(watch_backlog(client.clone(), service.metrics.clone(), max));
    let mut listening = JoinSet::new();
    let (listener, url, live) = (client.clone(), service.url.clone(), marker.clone());
    listening.spawn(async move { read(&listener, &url, None, live).await });
    sleep(Duration::from_secs(1)).await;

    let (mut results, outage_end) = load(&service, &client, options).await;
    while pending(&client, &service.metrics).await? > 0 {
        ensure!(outage_end.elapsed() < DRAIN_TIMEOUT, "the backlog is not published");
        sleep(Duration::from_millis(200)).await;
    }
    let (_, dog, _) = create(&client, &service.url, 0).await.map_err(anyhow::Error::msg)?;
    until.send_replace(Some(dog));
    let (history, _) = timeout(DRAIN_TIMEOUT, read(&client, &service.url, Some(&anchor), marker)).await??;
    let (live, late) =
        timeout(DRAIN_TIMEOUT, listening.join_next()).await?.context("the live stream was read")???;

    let Options { broker, store, outage, fault, rate, .. } = options;
    println!("{broker:?} with {store:?}, outage of {outage} s ({fault:?}), {rate} dogs/s");
    let failed = print(&mut results);
    let drained = late.saturating_duration_since(outage_end).as_secs_f64();
    println!("peak outbox_pending {}, published {drained:.1} s after the outage", *max_pending.borrow());
    let (mut passed, events) = (failed == 0, results.dogs.values().sum::<usize>());
    for (stream, received) in [("history", &history), ("live", &live)] {
        let (lost, twice, disordered) = compare(&results, received);
        println!("{stream}: of {events} events {lost} lost, {twice} duplicates, {disordered} dogs out of order");
        passed &= (lost, twice, disordered) == (0, 0, 0);
    }
    service.process.terminate();
    Ok(passed)
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(passed) => ExitCode::from(u8::from(!passed)),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
