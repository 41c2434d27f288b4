//! Makes dogs at a steady rate while the broker is away for a while, and tells what that cost.
//!
//! It starts a service of its own over a real broker, named by `TEST_NATS_URL`, `TEST_KAFKA_BROKERS` or
//! `TEST_RABBITMQ_URL`, by way of a proxy that fails on demand; no server is stopped. In the end it reads every event of
//! the history and compares: `cargo run --release --example outage --features full -- --broker nats --away 60`.

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

/// Every so many dogs, one is changed twice right after it was made: its three events have to stay in order.
const CHANGED: usize = 10;
/// An event that is told so long after it happened was held up.
const LATE: Duration = Duration::from_secs(1);
/// The longest that the backlog may take to go once the broker is back.
const TEST_TIMEOUT: Duration = Duration::from_mins(10);

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
enum Away {
    /// Connections are closed.
    Drop,
    /// Connections stay open and silent.
    Silent,
}

/// A broker that is away for a while.
#[derive(Debug, Clone, Parser)]
struct Options {
    /// The service's program.
    #[arg(long, default_value = "target/release/dogs")]
    binary: PathBuf,
    /// Which broker.
    #[arg(long, value_enum)]
    broker: Broker,
    /// Which store; `postgres` is the one of `TEST_POSTGRES_DSN`.
    #[arg(long, value_enum, default_value = "postgres")]
    store: Store,
    /// How the broker is away.
    #[arg(long, value_enum, default_value = "drop")]
    how: Away,
    /// For how many seconds it is away.
    #[arg(long, default_value_t = 60)]
    away: u64,
    /// For how many seconds dogs are made before and after that.
    #[arg(long, default_value_t = 10)]
    around: u64,
    /// Dogs made each second.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
}

/// The service, and what it stands on for as long as this is kept.
struct Service {
    process: ServiceProcess,
    url: String,
    metrics: String,
    corner: ProxiedBroker,
    _database: Option<TestDatabase>,
    _folder: tempfile::TempDir,
}

impl Service {
    async fn start(options: &Options) -> anyhow::Result<Self> {
        let corner = match options.broker {
            Broker::Nats => ProxiedBroker::nats().await,
            Broker::Kafka => ProxiedBroker::kafka().await,
            Broker::Rabbitmq => ProxiedBroker::rabbit(&["dogs.events"], &["dogs.thumbnailer"], 8).await,
        };
        let corner = corner.context("there is no such broker to test against")?;
        let database = match options.store {
            Store::Sqlite => None,
            Store::Postgres => Some(TestDatabase::postgres().await.context("there is no database to test against")?),
        };
        let (folder, binary) = (tempfile::tempdir()?, options.binary.canonicalize()?);
        let mut variables = corner.proxied().to_vec();
        variables.extend(["SERVER_PORT", "GRPC_PORT", "PROMETHEUS_PORT"].map(|port| (port, "0".to_owned())));
        if let Some(database) = &database {
            variables.extend([("STORAGE", "postgres".to_owned()), ("POSTGRES_DSN", database.dsn())]);
        }
        let mut process = launch(&binary, folder.path(), &variables);
        let (http, sys) = (process.listener("http").await, process.listener("sys").await);
        process.ready(sys, "/ready").await;
        let (url, metrics) = (format!("http://{http}/api/v1"), format!("http://{sys}/metrics"));
        Ok(Self { process, url, metrics, corner, _database: database, _folder: folder })
    }
}

fn launch(binary: &Path, directory: &Path, variables: &[(&'static str, String)]) -> ServiceProcess {
    let env: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    ServiceProcess::start(&Launch { binary, args: &["serve"], env: &env, directory })
}

/// What became of the requests that were begun in one phase.
#[derive(Debug, Default)]
struct Phase {
    took: Vec<Duration>,
    failed: Vec<String>,
}

#[derive(Debug, Default)]
struct Account {
    phases: BTreeMap<&'static str, Phase>,
    /// The dogs, with how many events each has.
    dogs: BTreeMap<String, usize>,
}

/// Makes a dog, and changes it where that is asked for. Answers how long the making took, the dog and its events.
async fn make(client: &Client, url: &str, changes: usize) -> Result<(Duration, String, usize), String> {
    let told = |error: reqwest::Error| error.without_url().to_string();
    let began = Instant::now();
    let dog = json!({ "breed": "husky", "name": "outage" });
    let answer = client.post(format!("{url}/dogs")).json(&dog).send().await.map_err(told)?;
    let status = answer.status();
    let body: Value = answer.json().await.map_err(told)?;
    let took = began.elapsed();
    let id = body["id"].as_str().filter(|_| status == 201).ok_or_else(|| format!("{status}: {body}"))?.to_owned();
    for change in 0..changes {
        let change = json!({ "name": change.to_string() });
        let answer = client.patch(format!("{url}/dogs/{id}")).json(&change).send().await.map_err(told)?;
        if answer.status() != 200 {
            return Err(format!("a change: {}", answer.status()));
        }
    }
    Ok((took, id, 1 + changes))
}

/// Makes dogs at the rate for each of the phases in turn, whatever the answers take. Answers when the broker came back.
async fn load(service: &Service, client: &Client, options: &Options) -> (Account, Instant) {
    let mut back = Instant::now();
    let (mut account, mut requests, mut number) = (Account::default(), JoinSet::new(), 0);
    let mut tick = interval(Duration::from_secs(1) / options.rate);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let away = match options.how {
        Away::Drop => Mode::Drop,
        Away::Silent => Mode::BlackHole,
    };
    let around = options.around;
    for (name, seconds, mode) in
        [("before", around, Mode::Pass), ("away", options.away, away), ("after", around, Mode::Pass)]
    {
        service.corner.faults().set(mode);
        back = Instant::now();
        let until = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < until {
            tick.tick().await;
            number += 1;
            let (client, url) = (client.clone(), service.url.clone());
            let changes = if number % CHANGED == 0 { 2 } else { 0 };
            requests.spawn(async move { (name, make(&client, &url, changes).await) });
            while let Some(Ok(made)) = requests.try_join_next() {
                account.take(made);
            }
        }
    }
    while let Some(Ok(made)) = requests.join_next().await {
        account.take(made);
    }
    (account, back)
}

impl Account {
    fn take(&mut self, (phase, made): (&'static str, Result<(Duration, String, usize), String>)) {
        let phase = self.phases.entry(phase).or_default();
        match made {
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
    Ok(line.context("the backlog is not told")?.parse()?)
}

/// What was told of each dog: how often each of its events, in the order of their first telling.
type Told = BTreeMap<String, Vec<(String, usize)>>;

/// Reads events behind `last`, or live ones, up to the first one of the dog `until`. Answers as well when the last one
/// came that was [`LATE`].
async fn read(
    client: &Client,
    url: &str,
    last: Option<&str>,
    until: watch::Receiver<Option<String>>,
) -> anyhow::Result<(Told, Instant)> {
    let mut request = client.get(format!("{url}/events")).header("accept", "text/event-stream");
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let mut chunks = request.send().await?.error_for_status()?.bytes_stream();
    let (mut text, mut told, mut late) = (String::new(), Told::new(), Instant::now());
    while let Some(chunk) = chunks.next().await {
        text.push_str(std::str::from_utf8(&chunk?).context("events are text")?);
        while let Some((block, rest)) = text.split_once("\n\n") {
            let (block, rest) = (block.to_owned(), rest.to_owned());
            text = rest;
            let Some(data) = block.lines().find_map(|line| line.strip_prefix("data: ")) else { continue };
            ensure!(!block.contains("event: reset"), "the stream says that it missed something");
            let event: Value = serde_json::from_str(data)?;
            let subject = event["subject"].as_str().unwrap_or_default().to_owned();
            if until.borrow().as_ref() == Some(&subject) {
                return Ok((told, late));
            }
            if SystemClock.now().since(serde_json::from_value(event["time"].clone())?) > LATE {
                late = Instant::now();
            }
            let kind = format!("{} {}", event["type"].as_str().unwrap_or_default(), event["data"]["revision"]);
            let events = told.entry(subject).or_default();
            match events.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, times)) => *times += 1,
                None => events.push((kind, 1)),
            }
        }
    }
    bail!("the stream ended")
}

/// Dogs of which something was not told, was told twice, or in another order.
fn compare(account: &Account, told: &Told) -> (usize, usize, usize) {
    let expected = ["dogs.created null", "dogs.updated 2", "dogs.updated 3"];
    let (mut lost, mut twice, mut disordered) = (0, 0, 0);
    for (dog, &events) in &account.dogs {
        let of_dog = told.get(dog).map(Vec::as_slice).unwrap_or_default();
        let kinds: BTreeSet<_> = of_dog.iter().map(|(kind, _)| kind.as_str()).collect();
        lost += expected[..events].iter().filter(|kind| !kinds.contains(**kind)).count();
        twice += of_dog.iter().map(|(_, times)| times - 1).sum::<usize>();
        let order: Vec<_> = of_dog.iter().filter_map(|(kind, _)| expected.iter().position(|one| one == kind)).collect();
        disordered += usize::from(!order.is_sorted());
    }
    (lost, twice, disordered)
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).map_or(0.0, Duration::as_secs_f64) * 1_000.0
}

fn print(account: &mut Account) -> usize {
    let mut all_failed = 0;
    for (name, phase) in &mut account.phases {
        phase.took.sort_unstable();
        let [p50, p99, max] = [50, 99, 100].map(|percent| percentile(&phase.took, percent));
        let (answered, failed) = (phase.took.len(), phase.failed.len());
        println!("{name:<7} {answered:>6} made  p50 {p50:.1} ms  p99 {p99:.1} ms  max {max:.1} ms  {failed} failed");
        for reason in phase.failed.iter().collect::<BTreeSet<_>>() {
            println!("        {reason}");
        }
        all_failed += failed;
    }
    all_failed
}

/// The id of an event behind which there is all that comes. A service that has just started may not listen to its broker
/// yet when the first dog is made; then another one is.
async fn anchor(client: &Client, service: &Service) -> anyhow::Result<String> {
    let mut stream = client.get(format!("{}/events", service.url)).send().await?.bytes_stream();
    let mut text = String::new();
    loop {
        make(client, &service.url, 0).await.map_err(anyhow::Error::msg)?;
        while let Ok(chunk) = timeout(LATE, stream.next()).await {
            text.push_str(&String::from_utf8_lossy(&chunk.context("the stream ended")??));
            if let Some(id) = text.lines().find_map(|line| line.strip_prefix("id: ")).filter(|id| id.len() == 36) {
                return Ok(id.to_owned());
            }
        }
    }
}

/// Scrapes the backlog until the task is dropped; the most that was seen.
async fn watch_backlog(client: Client, metrics: String, most: watch::Sender<u64>) {
    loop {
        if let Ok(pending) = pending(&client, &metrics).await {
            most.send_if_modified(|most| pending > std::mem::replace(most, pending.max(*most)));
        }
        sleep(Duration::from_millis(500)).await;
    }
}

async fn run(options: &Options) -> anyhow::Result<bool> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = Client::builder().build()?;
    let service = Service::start(options).await?;
    let anchor = timeout(TEST_TIMEOUT, anchor(&client, &service)).await??;
    let (until, marker) = watch::channel(None);
    let (most, seen) = watch::channel(0);
    let mut beside = JoinSet::new();
    beside.spawn(watch_backlog(client.clone(), service.metrics.clone(), most));
    let mut listening = JoinSet::new();
    let (listener, url, live) = (client.clone(), service.url.clone(), marker.clone());
    listening.spawn(async move { read(&listener, &url, None, live).await });
    sleep(Duration::from_secs(1)).await;

    let (mut account, back) = load(&service, &client, options).await;
    while pending(&client, &service.metrics).await? > 0 {
        ensure!(back.elapsed() < TEST_TIMEOUT, "the backlog does not go");
        sleep(Duration::from_millis(200)).await;
    }
    let (_, dog, _) = make(&client, &service.url, 0).await.map_err(anyhow::Error::msg)?;
    until.send_replace(Some(dog));
    let (history, _) = timeout(TEST_TIMEOUT, read(&client, &service.url, Some(&anchor), marker)).await??;
    let (live, late) = timeout(TEST_TIMEOUT, listening.join_next()).await?.context("someone listens")???;

    let Options { broker, store, away, how, rate, .. } = options;
    println!("{broker:?} over {store:?}, away for {away} s ({how:?}), {rate} dogs/s");
    let failed = print(&mut account);
    let drained = late.saturating_duration_since(back).as_secs_f64();
    println!("peak outbox_pending {}, worked off {drained:.1} s after the broker was back", *seen.borrow());
    let (mut fine, events) = (failed == 0, account.dogs.values().sum::<usize>());
    for (who, told) in [("history", &history), ("live", &live)] {
        let (lost, twice, disordered) = compare(&account, told);
        println!("{who}: of {events} events {lost} lost, {twice} told twice, {disordered} dogs out of order");
        fine &= (lost, twice, disordered) == (0, 0, 0);
    }
    service.process.terminate();
    Ok(fine)
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(fine) => ExitCode::from(u8::from(!fine)),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
