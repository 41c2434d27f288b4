//! Processes with one store and different clocks.

use std::time::Duration;

use kennel_core::{Clock as _, SystemClock, Timestamp};
use kennel_testkit::Backend;
use tokio::time::Instant;

use crate::broker::with_variables;
use crate::service_dir::{RunningService, ServiceDir, eventually};
use crate::stores::on_stores;

/// The maximum duration of a failover after a relay was killed, with the default lease.
const FAILOVER_TIMEOUT: Duration = Duration::from_secs(5);

on_stores! {
    { a_relay_whose_clock_is_ahead_fails_over_and_takes_over a_relay_whose_clock_is_behind_fails_over_and_takes_over }
    on "sqlite" sqlite, "postgres" postgres, "mysql" mysql, "clickhouse" clickhouse
}

async fn a_relay_whose_clock_is_ahead_fails_over_and_takes_over(variables: &[(&'static str, String)]) {
    each_takes_over_from_the_other("+1h", variables).await;
}

async fn a_relay_whose_clock_is_behind_fails_over_and_takes_over(variables: &[(&'static str, String)]) {
    each_takes_over_from_the_other("-1h", variables).await;
}

async fn each_takes_over_from_the_other(shift: &str, variables: &[(&'static str, String)]) {
    let Some(library) = Backend::Faketime.address() else { return };
    let directory = with_variables(ServiceDir::new().set("OUTBOX_LEASE", "3s"), variables);
    let directory = directory.set("FAKETIME", shift).set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let directory = directory.set("LD_PRELOAD", &library);
    let shifted = directory.serve().await;
    assert_clock_is_shifted(&shifted).await;
    let directory = directory.set("LD_PRELOAD", "");
    let correct = directory.serve().await;
    eventually("there is one leader", async || (leads(&shifted).await != leads(&correct).await).then_some(())).await;

    if leads(&shifted).await {
        let correct = fail_over(shifted, correct).await;
        let shifted = directory.set("LD_PRELOAD", &library).serve().await;
        fail_over(correct, shifted).await.stop().await;
    } else {
        let shifted = fail_over(correct, shifted).await;
        let correct = directory.serve().await;
        fail_over(shifted, correct).await.stop().await;
    }
}

/// Kills the leader; the other must take over in time.
async fn fail_over(leader: RunningService, other: RunningService) -> RunningService {
    leader.kill().await;
    let killed = Instant::now();
    other.dog("after").await;
    eventually("the other is the leader", async || leads(&other).await.then_some(())).await;
    let took = killed.elapsed();
    assert!(took < FAILOVER_TIMEOUT, "{took:?}");
    eventually("all events are published", async || (other.metric("outbox_pending").await < 0.5).then_some(())).await;
    other
}

/// Asserts by the time of a dog that the clock is shifted.
async fn assert_clock_is_shifted(served: &RunningService) {
    let id = served.dog("before").await;
    let dog = served.get(&format!("/api/v1/dogs/{id}")).await.expect(200).json();
    let at: Timestamp = serde_json::from_value(dog["created_at"].clone()).unwrap();
    let now = SystemClock.now();
    let difference = now.since(at).max(at.since(now));
    assert!(difference > Duration::from_mins(30), "{difference:?}");
}

async fn leads(served: &RunningService) -> bool {
    served.metric("outbox_leader").await > 0.5
}
