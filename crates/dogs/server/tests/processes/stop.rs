//! SIGTERM: work in hand is finished, streams end, nobody is left without an answer.

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

use crate::home::{Home, eventually};
use crate::load::{self, Answers};
use crate::support::{PATIENCE, next_event};

/// How long a stop may take by default.
const DEADLINE: Duration = Duration::from_secs(25);

#[tokio::test]
async fn nothing_fails_under_load() {
    let home = Home::new();
    let mut served = home.serve().await;
    let answers = Answers::default();
    let (mut by_http, mut by_grpc) = (JoinSet::new(), JoinSet::new());
    for caller in 0..4 {
        by_http.spawn(load::http(served.http, caller, Arc::clone(&answers)));
        by_grpc.spawn(load::grpc(served.grpc.unwrap(), caller, Arc::clone(&answers)));
    }
    eventually("all are busy", async || (answers.load(Ordering::SeqCst) >= 100).then_some(())).await;
    served.process.terminate();
    let ended = served.process.wait(DEADLINE).await;
    assert_eq!(ended.code(), Some(0), "{}", served.process.output());

    let mut accounts = by_http.join_all().await;
    accounts.extend(by_grpc.join_all().await);
    assert!(accounts.iter().all(|account| !account.answered.is_empty()));
    let (answered, unanswered): (Vec<_>, Vec<_>) =
        accounts.into_iter().map(|account| (account.answered, account.unanswered)).unzip();
    let (answered, unanswered) = (answered.concat(), unanswered.concat());
    let kept = home.run(&["export"]).await.ends(0).rows();
    let kept: BTreeSet<_> = kept.iter().map(|dog| dog["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kept, answered.into_iter().collect(), "what was answered, and nothing else, is done");
    assert!(unanswered.iter().all(|name| !kept.contains(name)));
}

#[tokio::test]
async fn a_request_in_hand_is_answered() {
    let upstream = Upstream::new().await;
    let home = Home::with_upstream(&upstream);
    let mut served = home.serve().await;
    upstream.behave(Behaviour::Slow(Duration::from_millis(700)));
    let mut asked = JoinSet::new();
    asked.spawn(served.request("GET", "/api/v1/dogs/husky/image").send());
    eventually("the request is in hand", async || (upstream.requests(Route::Random) > 0).then_some(())).await;
    served.process.terminate();
    let answer = asked.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(served.process.wait(DEADLINE).await.code(), Some(0), "{}", served.process.output());
    assert_eq!(home.run(&["list", "--json"]).await.ends(0).rows().len(), 1);
}

#[tokio::test]
async fn streams_end_and_do_not_hold_it_up() {
    let home = Home::new();
    let mut served = home.serve().await;
    let mut events = served.events(None).await;
    let mut watched = served.rpc().watch_dogs(WatchDogsRequest::default()).await.unwrap().into_inner();
    served.process.terminate();
    assert_eq!(events.next().await, None);
    assert_eq!(next_event(&mut watched).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(served.process.wait(DEADLINE / 2).await.code(), Some(0), "{}", served.process.output());
}

#[tokio::test]
async fn a_second_signal_cuts_it_short() {
    let upstream = Upstream::new().await;
    let home = Home::with_upstream(&upstream).set("DOG_API_TIMEOUT", "60s").set("REQUEST_TIMEOUT", "60s");
    let mut served = home.serve().await;
    upstream.behave(Behaviour::Slow(Duration::from_mins(1)));
    let mut asked = JoinSet::new();
    asked.spawn(served.request("GET", "/api/v1/dogs/husky/image").send());
    eventually("the request is in hand", async || (upstream.requests(Route::Random) > 0).then_some(())).await;
    served.process.terminate();
    eventually("it heard", async || served.process.output().contains("\"stopping\"").then_some(())).await;
    served.process.terminate();
    let ended = served.process.wait(Duration::from_secs(5)).await;
    assert_eq!(ended.code(), Some(1), "{}", served.process.output());
    assert!(served.process.output().contains("aborted by a second signal"), "{}", served.process.output());
}

#[cfg(feature = "mysql")]
#[tokio::test]
async fn a_check_that_nobody_waits_for_keeps_no_connection() {
    let Some(database) = TestDatabase::mysql().await else { return };
    let proxy = FaultProxy::new(database.server()).await;
    let home = Home::new().set("STORAGE", "mysql").set("MYSQL_DSN", &database.dsn_by(proxy.address()));
    let served = home.serve_without_relay().await;
    proxy.set(Mode::Delay(Duration::from_millis(300)));
    // An answer that is kept for a moment comes at once.
    eventually("one asks and goes away", async || {
        timeout(Duration::from_millis(100), probe::get(served.sys, "/ready")).await.is_err().then_some(())
    })
    .await;
    served.stop().await;
}

#[tokio::test]
async fn an_import_in_hand_ends_and_can_be_taken_up() {
    let home = Home::new().set("SHUTDOWN_DEADLINE", "10s");
    let mut served = home.serve().await;
    let all = "{\"breed\":\"husky\"}\n".repeat(6_000);
    let lines = stream::iter([Ok::<_, std::io::Error>(all.clone())]).chain(stream::pending());
    let request = served.request("POST", "/api/v1/dogs/import").header("content-type", "application/x-ndjson");
    let request = request.header("idempotency-key", "k").body(reqwest::Body::wrap_stream(lines));
    let mut asked = JoinSet::new();
    asked.spawn(request.send());
    eventually("a batch is in", async || {
        let page = served.get("/api/v1/dogs?limit=1").await.expect(200).json();
        (!page["items"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    served.process.terminate();
    let answer = asked.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert_eq!(served.process.wait(PATIENCE).await.code(), Some(0), "{}", served.process.output());
    let ended = home.run_with_input(&["import", "-", "--key", "k"], all.as_bytes()).await.ends(0);
    assert!(ended.stdout.contains("resumed after line "), "{}", ended.stdout);
    assert_eq!(home.run(&["export"]).await.ends(0).stdout.lines().count(), 6_000);
}
