//! Many relays over one outbox.

use std::net::SocketAddr;
use std::time::Duration;

use kennel_testkit::ServiceProcess;
use kennel_testkit::broker_namespace::ProxiedBroker;
use kennel_testkit::probe;
use tokio::time::Instant;

use crate::place::furnished;
use crate::stores::on_stores;
use crate::support::TEST_TIMEOUT;
use crate::support::service_dir::{RunningService, ServiceDir, eventually};

const RELAYS: usize = 4;
const DOGS: u32 = 60;
/// How long the others may take to follow a relay that was killed, with the lease that services have by default.
const SUCCESSION: Duration = Duration::from_secs(5);

/// A process that does nothing but publish.
struct Publishing {
    process: ServiceProcess,
    sys: SocketAddr,
}

impl Publishing {
    async fn start(home: &ServiceDir) -> Self {
        let mut process = home.start(&["serve", "--only", "outbox-relay,sys"]);
        let sys = process.listener("sys").await;
        Self { process, sys }
    }

    async fn metric(&self, series: &str) -> f64 {
        let Ok(answer) = probe::get(self.sys, "/metrics").await else { return 0.0 };
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    async fn leads(&self) -> bool {
        self.metric("outbox_leader").await > 0.5
    }
}

/// What a series is in all of them together.
async fn sum(relays: &[Publishing], series: &str) -> f64 {
    let mut sum = 0.0;
    for relay in relays {
        sum += relay.metric(series).await;
    }
    sum
}

async fn published(relays: &[Publishing]) -> f64 {
    sum(relays, r#"broker_published_total{outcome="ok",topic="dogs.events"}"#).await
}

async fn marked(relays: &[Publishing]) -> f64 {
    sum(relays, "outbox_published_total").await
}

async fn leaders(relays: &[Publishing]) -> Vec<usize> {
    let mut leaders = Vec::new();
    for (place, relay) in relays.iter().enumerate() {
        if relay.leads().await {
            leaders.push(place);
        }
    }
    leaders
}

/// A service that does not publish, and relays for it, one of which leads.
async fn start(home: &ServiceDir) -> (RunningService, Vec<Publishing>) {
    let http = home.serve_without_relay().await;
    let mut relays = Vec::new();
    for _ in 0..RELAYS {
        relays.push(Publishing::start(home).await);
    }
    eventually("one leads", async || (leaders(&relays).await.len() == 1).then_some(())).await;
    (http, relays)
}

/// A home over the store that `variables` name, whose relays have this lease; `None`, said aloud, without a broker.
async fn stand(lease: &str, variables: &[(&'static str, String)]) -> Option<(ProxiedBroker, ServiceDir)> {
    let corner = ProxiedBroker::nats().await?;
    let home = ServiceDir::new().set("OUTBOX_LEASE", lease).set("OUTBOX_POLL", "1s");
    let home = furnished(furnished(home, corner.direct()), variables);
    Some((corner, home))
}

async fn each_event_is_published_once(variables: &[(&'static str, String)]) {
    // One that no store is too slow to renew: who loses the lease while it publishes may leave an event to be told twice.
    let Some((_corner, home)) = stand("60s", variables).await else { return };
    let (http, relays) = start(&home).await;
    for name in 0..DOGS {
        http.dog(&name.to_string()).await;
    }
    eventually("all are published", async || (published(&relays).await >= f64::from(DOGS)).then_some(())).await;
    eventually("all are marked", async || (marked(&relays).await >= f64::from(DOGS)).then_some(())).await;
    assert!((published(&relays).await - f64::from(DOGS)).abs() < 0.5, "an event was published twice");
    let leading = leaders(&relays).await;
    assert_eq!(leading.len(), 1, "{leading:?}");
    http.stop().await;
}

async fn another_follows_one_that_is_killed(variables: &[(&'static str, String)]) {
    let Some((_corner, home)) = stand("3s", variables).await else { return };
    let (http, mut relays) = start(&home).await;
    http.dog("before").await;
    eventually("it is published", async || (published(&relays).await >= 1.0).then_some(())).await;

    let leading = eventually("one leads", async || leaders(&relays).await.first().copied()).await;
    let mut leader = relays.swap_remove(leading);
    let before = published(&relays).await;
    leader.process.kill();
    let killed = Instant::now();
    http.dog("after").await;
    eventually("another publishes", async || (published(&relays).await > before).then_some(())).await;
    let took = killed.elapsed();
    assert!(took < SUCCESSION, "{took:?}");
    eventually("one leads", async || (leaders(&relays).await.len() == 1).then_some(())).await;
    leader.process.wait(TEST_TIMEOUT).await;
    http.stop().await;
}

on_stores! {
    { each_event_is_published_once another_follows_one_that_is_killed }
    on "postgres" postgres, "mysql" mysql, "clickhouse" clickhouse
}
