//! The event stream: live, resumed, and ended.

use std::time::Duration;

use kennel_outbox::FeedConfig;
use serde_json::json;

use crate::support::{Setup, TestApp, TestResponse};

#[tokio::test]
async fn events_are_streamed_live() {
    let app = TestApp::start().await;
    let mut events = app.events(None).await;
    let dog = app.dog("husky").await;
    let path = format!("/api/v1/dogs/{}", dog["id"].as_str().unwrap());
    app.send("PATCH", &path, json!({ "name": "Balto" })).await.expect(200);
    TestResponse::of(app.request("DELETE", &path)).await.expect(204);

    let created = events.expect("dogs.created").await;
    assert_eq!((created.data["id"].as_str(), &created.data["subject"]), (Some(created.id.as_str()), &dog["id"]));
    assert_eq!((&created.data["type"], &created.data["time"]), (&json!("dogs.created"), &dog["created_at"]));
    assert_eq!((&created.data["data"]["breed"], &created.data["data"]["id"]), (&json!("husky"), &dog["id"]));
    let updated = events.expect("dogs.updated").await;
    assert_eq!((&updated.data["data"]["name"], &updated.data["data"]["revision"]), (&json!("Balto"), &json!(2)));
    events.expect("dogs.deleted").await;
}

#[tokio::test]
async fn a_stream_resumes_after_its_last_event() {
    let app = TestApp::start().await;
    let mut events = app.events(None).await;
    app.dog("husky").await;
    let last = events.expect("dogs.created").await.id;
    drop(events);
    let (second, third) = (app.dog("boxer").await, app.dog("beagle").await);

    let mut by_header = app.events(Some(&last)).await;
    let target = format!("/api/v1/events?last_event_id={last}");
    let mut by_query = crate::support::Messages::open(app.request("GET", &target)).await;
    for stream in [&mut by_header, &mut by_query] {
        for dog in [&second, &third] {
            assert_eq!(stream.expect("dogs.created").await.data["subject"], dog["id"]);
        }
    }
    app.dog("husky").await;
    assert_eq!(by_header.expect("dogs.created").await.data["data"]["breed"], "husky");
}

#[tokio::test]
async fn a_stream_that_broke_before_its_first_event_misses_none() {
    let app = TestApp::start().await;
    let mut first = app.events(None).await;
    // No event was ever published, so resuming there requires a reload.
    assert_eq!(first.position, uuid::Uuid::nil().to_string());
    app.events(Some(&first.position)).await.expect("reset").await;
    app.dog("husky").await;
    let known = first.expect("dogs.created").await.id;

    let idle = app.events(None).await;
    assert_eq!(idle.position, known);
    let position = idle.position.clone();
    drop(idle);
    let missed = app.dog("boxer").await;
    let mut again = app.events(Some(&position)).await;
    assert_eq!(again.expect("dogs.created").await.data["subject"], missed["id"]);
}

#[tokio::test]
async fn a_quiet_stream_repeats_its_position() {
    let feed = FeedConfig { heartbeat: Duration::from_millis(20), ..FeedConfig::default() };
    let app = TestApp::with(Setup { feed, ..Setup::default() }).await;
    let mut events = app.events(None).await;
    app.dog("husky").await;
    let event = events.expect("dogs.created").await;
    for _ in 0..3 {
        assert_eq!(events.heartbeat().await, event.id);
    }
}

#[tokio::test]
async fn purged_events_cause_a_reset() {
    let app = TestApp::start().await;
    let mut events = app.events(Some("0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10")).await;
    events.expect("reset").await;
    app.dog("husky").await;
    events.expect("dogs.created").await;
}

#[tokio::test]
async fn invalid_ids_are_rejected() {
    let app = TestApp::start().await;
    app.get("/api/v1/events?last_event_id=7").await.expect_invalid("last_event_id");
    let request = app.request("GET", "/api/v1/events").header("last-event-id", "x");
    TestResponse::of(request).await.expect_invalid("last_event_id");
}

#[tokio::test]
async fn streams_are_limited_and_released() {
    let app = TestApp::start().await;
    let mut open = Vec::new();
    for _ in 0..256 {
        open.push(app.events(None).await);
    }
    let response = app.get("/api/v1/events").await.expect(503);
    assert_eq!((&response.json()["code"], response.header("retry-after")), (&json!("overloaded"), "5"));
    open.clear();
    // The service detects closed connections at its next write.
    let mut attempts = 0;
    while app.request("GET", "/api/v1/events").send().await.unwrap().status() != 200 {
        app.dog("husky").await;
        attempts += 1;
        assert!(attempts < 1_000, "no stream was released");
    }
}

#[tokio::test]
async fn open_streams_end_when_the_service_stops() {
    let app = TestApp::start().await;
    let mut events = app.events(None).await;
    let stopped = app.stop();
    let ended = async move { while events.next().await.is_some() {} };
    tokio::time::timeout(crate::support::TEST_TIMEOUT, futures_util::future::join(stopped, ended)).await.unwrap();
}
