//! SIGTERM: running requests are completed, streams end, and no request is left without a response.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use kennel_proto::dogs::v1::WatchDogsRequest;
use kennel_testkit::upstream::Route;
use kennel_testkit::{Behaviour, Upstream};
#[cfg(feature = "mysql")]
use kennel_testkit::{FaultProxy, Mode, TestDatabase, probe};
use tokio::task::JoinSet;
#[cfg(feature = "mysql")]
use tokio::time::timeout;
use tonic::Code;

use crate::load::{self, ResponseCount};
use crate::service_dir::{ServiceDir, eventually};
use crate::support::{TEST_TIMEOUT, next_event};

/// How long a stop may take by default.
const DEADLINE: Duration = Duration::from_secs(25);

#[tokio::test]
async fn nothing_fails_under_load() {
    let directory = ServiceDir::new();
    let mut served = directory.serve().await;
    let responses = ResponseCount::default();
    let (mut by_http, mut by_grpc) = (JoinSet::new(), JoinSet::new());
    for caller in 0..4 {
        by_http.spawn(load::http(served.http, caller, Arc::clone(&responses)));
        by_grpc.spawn(load::grpc(served.grpc.unwrap(), caller, Arc::clone(&responses)));
    }
    eventually("all callers are busy", async || (responses.load(Ordering::SeqCst) >= 100).then_some(())).await;
    served.process.terminate();
    let ended = served.process.wait(DEADLINE).await;
    assert_eq!(ended.code(), Some(0), "{}", served.process.output());

    let mut results = by_http.join_all().await;
    results.extend(by_grpc.join_all().await);
    assert!(results.iter().all(|result| !result.completed.is_empty()));
    let (completed, failed): (Vec<_>, Vec<_>) =
        results.into_iter().map(|result| (result.completed, result.failed)).unzip();
    let (completed, failed) = (completed.concat(), failed.concat());
    let stored = directory.run(&["export"]).await.ends(0).rows();
    let stored: BTreeSet<_> = stored.iter().map(|dog| dog["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(stored, completed.into_iter().collect(), "exactly the completed requests are stored");
    assert!(failed.iter().all(|name| !stored.contains(name)));
}

#[tokio::test]
async fn a_running_request_is_completed() {
    let upstream = Upstream::new().await;
    let directory = ServiceDir::with_upstream(&upstream);
    let mut served = directory.serve().await;
    upstream.behave(Behaviour::Slow(Duration::from_millis(700)));
    let mut requests = JoinSet::new();
    requests.spawn(served.request("GET", "/api/v1/dogs/husky/image").send());
    eventually("the request is running", async || (upstream.requests(Route::Random) > 0).then_some(())).await;
    served.process.terminate();
    let response = requests.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(served.process.wait(DEADLINE).await.code(), Some(0), "{}", served.process.output());
    assert_eq!(directory.run(&["list", "--json"]).await.ends(0).rows().len(), 1);
}

#[tokio::test]
async fn streams_end_and_do_not_delay_the_stop() {
    let directory = ServiceDir::new();
    let mut served = directory.serve().await;
    let mut events = served.events(None).await;
    let mut watched = served.rpc().watch_dogs(WatchDogsRequest::default()).await.unwrap().into_inner();
    served.process.terminate();
    assert_eq!(events.next().await, None);
    assert_eq!(next_event(&mut watched).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(served.process.wait(DEADLINE / 2).await.code(), Some(0), "{}", served.process.output());
}

#[tokio::test]
async fn a_second_signal_aborts_the_stop() {
    let upstream = Upstream::new().await;
    let directory = ServiceDir::with_upstream(&upstream).set("DOG_API_TIMEOUT", "60s").set("REQUEST_TIMEOUT", "60s");
    let mut served = directory.serve().await;
    upstream.behave(Behaviour::Slow(Duration::from_mins(1)));
    let mut requests = JoinSet::new();
    requests.spawn(served.request("GET", "/api/v1/dogs/husky/image").send());
    eventually("the request is running", async || (upstream.requests(Route::Random) > 0).then_some(())).await;
    served.process.terminate();
    eventually("the signal was received", async || served.process.output().contains("\"stopping\"").then_some(()))
        .await;
    served.process.terminate();
    let ended = served.process.wait(Duration::from_secs(5)).await;
    assert_eq!(ended.code(), Some(1), "{}", served.process.output());
    assert!(served.process.output().contains("aborted by a second signal"), "{}", served.process.output());
}

#[cfg(feature = "mysql")]
#[tokio::test]
async fn a_cancelled_check_leaks_no_connection() {
    let Some(database) = TestDatabase::mysql().await else { return };
    let proxy = FaultProxy::new(database.server()).await;
    let directory = ServiceDir::new().set("STORAGE", "mysql").set("MYSQL_DSN", &database.dsn_by(proxy.address()));
    let served = directory.serve_without_relay().await;
    proxy.set(Mode::Delay(Duration::from_millis(300)));
    // A cached result is returned immediately.
    eventually("a request is cancelled", async || {
        timeout(Duration::from_millis(100), probe::get(served.sys, "/ready")).await.is_err().then_some(())
    })
    .await;
    served.stop().await;
}

#[tokio::test]
async fn a_running_import_is_stopped_and_can_be_resumed() {
    let directory = ServiceDir::new().set("SHUTDOWN_DEADLINE", "10s");
    let mut served = directory.serve().await;
    let all = "{\"breed\":\"husky\"}\n".repeat(6_000);
    let lines = stream::iter([Ok::<_, std::io::Error>(all.clone())]).chain(stream::pending());
    let request = served.request("POST", "/api/v1/dogs/import").header("content-type", "application/x-ndjson");
    let request = request.header("idempotency-key", "k").body(reqwest::Body::wrap_stream(lines));
    let mut requests = JoinSet::new();
    requests.spawn(request.send());
    eventually("a batch is stored", async || {
        let page = served.get("/api/v1/dogs?limit=1").await.expect(200).json();
        (!page["items"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    served.process.terminate();
    let response = requests.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(served.process.wait(TEST_TIMEOUT).await.code(), Some(0), "{}", served.process.output());
    let ended = directory.run_with_input(&["import", "-", "--key", "k"], all.as_bytes()).await.ends(0);
    assert!(ended.stdout.contains("resumed after line "), "{}", ended.stdout);
    assert_eq!(directory.run(&["export"]).await.ends(0).stdout.lines().count(), 6_000);
}
