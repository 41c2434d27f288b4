//! Contests of the outbox relay, from `PostgreSQL` to a broker.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use kennel_loadgen::{Load, post, send};
use kennel_testkit::broker_namespace::{Kafka, Nats};
use sqlx::{Connection as _, PgConnection};
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::Setup;
use crate::contest::{self, Contestant, Score};
use crate::servers::{Database, Store};
use crate::service::Running;

/// Clients of the paced load, and the interval of each: 1,000 requests per second.
const CLIENTS: usize = 32;
const INTERVAL: Duration = Duration::from_millis(32);
/// Events that wait at the start of a round, for each second that it may take.
const EVENTS_PER_SECOND: f64 = 10_000.0;
/// How long it may take until all events are published.
const PUBLISH_LIMIT: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A copy of the last event under so many new ids.
const ADD: &str = "INSERT INTO outbox (commit_seq, ordinal, id, name, source, topic, key, time, content_type, data)
    SELECT nextval('outbox_commit_seq'), 1, gen_random_uuid(), name, source, topic, gen_random_uuid()::text,
        (extract(epoch FROM clock_timestamp()) * 1000)::bigint, content_type, data
    FROM (SELECT * FROM outbox ORDER BY commit_seq DESC LIMIT 1) AS event, generate_series(1, $1)";
const PENDING: &str = "SELECT count(*) FROM outbox WHERE publish_seq IS NULL";
/// The latest published events without those of the first batch, and the seconds from that to the last one: how long the
/// first batch took is not known.
const PUBLISHED: &str = "SELECT (count(*) FILTER (WHERE published_at > first))::float8,
        (max(published_at) - first)::float8 / 1000
    FROM (SELECT published_at, min(published_at) OVER () AS first
          FROM (SELECT published_at FROM outbox ORDER BY publish_seq DESC NULLS LAST LIMIT $1) AS latest) AS published
    GROUP BY first";
const LATENCY: &str = "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY published_at - time),
        percentile_cont(0.99) WITHIN GROUP (ORDER BY published_at - time)
    FROM outbox";

/// The latency at a constant rate. Times are whole milliseconds of the service's clock, so that the commit counts too.
pub(super) fn latency(setup: &Setup) -> anyhow::Result<Option<Vec<Score>>> {
    let Some(nats) = Nats::find() else { return Ok(None) };
    let Some(database) = setup.servers.migrated(Store::Postgres, &setup.service)? else { return Ok(None) };
    let dogs = to_broker(setup, &database, &nats_env(&nats))?;
    let requests = [post("/api/v1/dogs", "application/json", r#"{"breed":"husky"}"#)];
    let duration = setup.rounds.duration * setup.rounds.count;
    let load = Load { server: dogs.http, callers: CLIENTS, duration, interval: INTERVAL };
    let measured = load.run(&requests)?;
    ensure!(measured.failed() == 0, "{} requests failed", measured.failed());
    let (p50, p99) = setup.servers.handle().block_on(async {
        let mut connection = PgConnection::connect(&database.dsn).await?;
        wait_until_published(&mut connection).await?;
        anyhow::Ok(sqlx::query_as::<_, (f64, f64)>(LATENCY).fetch_one(&mut connection).await?)
    })?;
    let millis = |millis: f64| Duration::from_secs_f64(millis.max(0.0) / 1_000.0);
    let (rate, latency) = (Some(measured.rate()), Some((millis(p50), millis(p99))));
    Ok(Some(vec![Score { name: "dogs".to_owned(), rate, latency, memory: dogs.memory() }]))
}

pub(super) fn to_nats(setup: &Setup) -> anyhow::Result<Option<Vec<Score>>> {
    let Some(nats) = Nats::find() else { return Ok(None) };
    rate(setup, &nats_env(&nats))
}

pub(super) fn to_kafka(setup: &Setup) -> anyhow::Result<Option<Vec<Score>>> {
    let Some(kafka) = Kafka::find() else { return Ok(None) };
    let (brokers, prefix) = (kafka.brokers().to_owned(), kafka.prefix().to_owned());
    rate(setup, &[("BROKER", "kafka"), ("KAFKA_BROKERS", &brokers), ("BROKER_PREFIX", &prefix)])
}

fn nats_env(nats: &Nats) -> [(&'static str, &str); 3] {
    [("BROKER", "nats"), ("NATS_URL", nats.url()), ("BROKER_PREFIX", nats.prefix())]
}

/// The rate at which events that wait are published.
fn rate(setup: &Setup, broker: &[(&str, &str)]) -> anyhow::Result<Option<Vec<Score>>> {
    let Some(database) = setup.servers.migrated(Store::Postgres, &setup.service)? else { return Ok(None) };
    let dogs = to_broker(setup, &database, broker)?;
    let created = send(dogs.http, &post("/api/v1/dogs", "application/json", r#"{"breed":"husky"}"#))?;
    ensure!(created.status == 201, "create: {}", String::from_utf8_lossy(&created.body));
    let (handle, dsn): (Handle, _) = (setup.servers.handle(), database.dsn.clone());
    let command = move |duration: Duration| handle.block_on(publish(&dsn, duration));
    contest::run(vec![Contestant::command("dogs", Some(dogs), command)], setup.rounds).map(Some)
}

#[expect(clippy::cast_possible_truncation, reason = "counts of events are small")]
async fn publish(dsn: &str, duration: Duration) -> anyhow::Result<f64> {
    let events = (EVENTS_PER_SECOND * duration.as_secs_f64()) as i64;
    let mut connection = PgConnection::connect(dsn).await?;
    wait_until_published(&mut connection).await?;
    sqlx::query(ADD).bind(events).execute(&mut connection).await?;
    wait_until_published(&mut connection).await?;
    let (published, took): (f64, f64) = sqlx::query_as(PUBLISHED).bind(events).fetch_one(&mut connection).await?;
    ensure!(published > 0.0 && took > 0.0, "{events} events are too few to measure: they were published at once");
    Ok(published / took)
}

async fn wait_until_published(connection: &mut PgConnection) -> anyhow::Result<()> {
    let started = Instant::now();
    while sqlx::query_scalar::<_, i64>(PENDING).fetch_one(&mut *connection).await? > 0 {
        ensure!(started.elapsed() < PUBLISH_LIMIT, "not all events are published after {PUBLISH_LIMIT:?}");
        sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

fn to_broker(setup: &Setup, database: &Database, broker: &[(&str, &str)]) -> anyhow::Result<Running> {
    database.start(&setup.service, broker).context("dogs with a broker")
}
