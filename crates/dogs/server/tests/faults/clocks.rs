//! Processes over one store whose clocks disagree.

use std::time::Duration;

use kennel_core::{Clock as _, SystemClock, Timestamp};
use kennel_testkit::Backend;
use tokio::time::Instant;

use crate::place::furnished;
use crate::stores::on_stores;
use crate::support::service_dir::{RunningService, ServiceDir, eventually};

/// How long the others may take to follow a relay that was killed, with the lease that services have by default.
const SUCCESSION: Duration = Duration::from_secs(5);

on_stores! {
    { a_relay_whose_clock_is_ahead_is_followed_and_follows a_relay_whose_clock_is_behind_is_followed_and_follows }
    on "sqlite" sqlite, "postgres" postgres, "mysql" mysql, "clickhouse" clickhouse
}

async fn a_relay_whose_clock_is_ahead_is_followed_and_follows(variables: &[(&'static str, String)]) {
    each_follows_the_other("+1h", variables).await;
}

async fn a_relay_whose_clock_is_behind_is_followed_and_follows(variables: &[(&'static str, String)]) {
    each_follows_the_other("-1h", variables).await;
}

async fn each_follows_the_other(shift: &str, variables: &[(&'static str, String)]) {
    let Some(library) = Backend::Faketime.address() else { return };
    let home = furnished(ServiceDir::new().set("OUTBOX_LEASE", "3s"), variables);
    let home = home.set("FAKETIME", shift).set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let home = home.set("LD_PRELOAD", &library);
    let shifted = home.serve().await;
    clock_is_wrong(&shifted).await;
    let home = home.set("LD_PRELOAD", "");
    let punctual = home.serve().await;
    eventually("one leads", async || (leads(&shifted).await != leads(&punctual).await).then_some(())).await;

    if leads(&shifted).await {
        let punctual = succeeds(shifted, punctual).await;
        let shifted = home.set("LD_PRELOAD", &library).serve().await;
        succeeds(punctual, shifted).await.stop().await;
    } else {
        let shifted = succeeds(punctual, shifted).await;
        let punctual = home.serve().await;
        succeeds(shifted, punctual).await.stop().await;
    }
}

/// Kills the leader; the other has to publish in its turn soon.
async fn succeeds(leader: RunningService, other: RunningService) -> RunningService {
    leader.kill().await;
    let killed = Instant::now();
    other.dog("after").await;
    eventually("the other leads", async || leads(&other).await.then_some(())).await;
    let took = killed.elapsed();
    assert!(took < SUCCESSION, "{took:?}");
    eventually("all is published", async || (other.metric("outbox_pending").await < 0.5).then_some(())).await;
    other
}

/// A dog's time says that the library is at work.
async fn clock_is_wrong(served: &RunningService) {
    let id = served.dog("before").await;
    let dog = served.get(&format!("/api/v1/dogs/{id}")).await.expect(200).json();
    let at: Timestamp = serde_json::from_value(dog["created_at"].clone()).unwrap();
    let now = SystemClock.now();
    let apart = now.since(at).max(at.since(now));
    assert!(apart > Duration::from_mins(30), "{apart:?}");
}

async fn leads(served: &RunningService) -> bool {
    served.metric("outbox_leader").await > 0.5
}
