//! Several relays of one outbox.

use std::net::SocketAddr;
use std::time::Duration;

use kennel_testkit::ServiceProcess;
use kennel_testkit::broker_namespace::ProxiedBroker;
use kennel_testkit::probe;
use tokio::time::Instant;

use crate::broker::with_variables;
use crate::service_dir::{RunningService, ServiceDir, eventually};
use crate::stores::on_stores;
use crate::support::TEST_TIMEOUT;

const RELAYS: usize = 4;
const DOGS: u32 = 60;
/// The maximum duration of a failover after a relay was killed, with the default lease.
const FAILOVER_TIMEOUT: Duration = Duration::from_secs(5);

/// A process that runs only the relay.
struct RelayProcess {
    process: ServiceProcess,
    sys: SocketAddr,
}

impl RelayProcess {
    async fn start(directory: &ServiceDir) -> Self {
        let mut process = directory.start(&["serve", "--only", "outbox-relay,sys"]);
        let sys = process.listener("sys").await;
        Self { process, sys }
    }

    async fn metric(&self, series: &str) -> f64 {
        let Ok(response) = probe::get(self.sys, "/metrics").await else { return 0.0 };
        let text = String::from_utf8_lossy(&response.body).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    async fn leads(&self) -> bool {
        self.metric("outbox_leader").await > 0.5
    }
}

/// The sum of a series over all processes.
async fn sum(relays: &[RelayProcess], series: &str) -> f64 {
    let mut sum = 0.0;
    for relay in relays {
        sum += relay.metric(series).await;
    }
    sum
}

async fn published(relays: &[RelayProcess]) -> f64 {
    sum(relays, r#"broker_published_total{outcome="ok",topic="dogs.events"}"#).await
}

async fn marked(relays: &[RelayProcess]) -> f64 {
    sum(relays, "outbox_published_total").await
}

async fn leaders(relays: &[RelayProcess]) -> Vec<usize> {
    let mut leaders = Vec::new();
    for (index, relay) in relays.iter().enumerate() {
        if relay.leads().await {
            leaders.push(index);
        }
    }
    leaders
}

/// Starts a service without a relay, and relays for it; one becomes the leader.
async fn start(directory: &ServiceDir) -> (RunningService, Vec<RelayProcess>) {
    let http = directory.serve_without_relay().await;
    let mut relays = Vec::new();
    for _ in 0..RELAYS {
        relays.push(RelayProcess::start(directory).await);
    }
    eventually("there is one leader", async || (leaders(&relays).await.len() == 1).then_some(())).await;
    (http, relays)
}

/// A directory with the store that `variables` name and this lease; `None`, with a message, without a broker.
async fn set_up(lease: &str, variables: &[(&'static str, String)]) -> Option<(ProxiedBroker, ServiceDir)> {
    let proxied = ProxiedBroker::nats().await?;
    let directory = ServiceDir::new().set("OUTBOX_LEASE", lease).set("OUTBOX_POLL", "1s");
    let directory = with_variables(with_variables(directory, proxied.direct()), variables);
    Some((proxied, directory))
}

async fn each_event_is_published_once(variables: &[(&'static str, String)]) {
    // A lease that every store renews in time: a relay that loses its lease while publishing may publish an event twice.
    let Some((_proxied, directory)) = set_up("60s", variables).await else { return };
    let (http, relays) = start(&directory).await;
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

async fn another_relay_takes_over_from_a_killed_one(variables: &[(&'static str, String)]) {
    let Some((_proxied, directory)) = set_up("3s", variables).await else { return };
    let (http, mut relays) = start(&directory).await;
    http.dog("before").await;
    eventually("it is published", async || (published(&relays).await >= 1.0).then_some(())).await;

    let leading = eventually("there is one leader", async || leaders(&relays).await.first().copied()).await;
    let mut leader = relays.swap_remove(leading);
    let before = published(&relays).await;
    leader.process.kill();
    let killed = Instant::now();
    http.dog("after").await;
    eventually("another publishes", async || (published(&relays).await > before).then_some(())).await;
    let took = killed.elapsed();
    assert!(took < FAILOVER_TIMEOUT, "{took:?}");
    eventually("there is one leader", async || (leaders(&relays).await.len() == 1).then_some(())).await;
    leader.process.wait(TEST_TIMEOUT).await;
    http.stop().await;
}

on_stores! {
    { each_event_is_published_once another_relay_takes_over_from_a_killed_one }
    on "postgres" postgres, "mysql" mysql, "clickhouse" clickhouse
}
