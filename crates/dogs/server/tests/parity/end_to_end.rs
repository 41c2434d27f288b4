//! One dog from the request to its thumbnail and to every subscriber.

use image::load_from_memory;
use kennel_broker::Backend;
use kennel_proto::dogs::v1::{WatchDogsRequest, WatchDogsResponse};
use serde_json::{Value, json};
use tonic::Streaming;

use crate::pair::{Pair, TestEnvironment};
use crate::service_dir::{RunningService, eventually};
use crate::support::{Messages, TestResponse, next_event};

pub async fn check(pair: Pair) {
    let Some(environment) = pair.set_up().await else { return };
    let served = environment.serve().await;
    let mut subscribers = Subscribers::open(&served).await;

    let fetched = served.get("/api/v1/dogs/hound/afghan/image").await.expect(200).json();
    let id = fetched["id"].as_str().unwrap();
    for event in ["dogs.created", "dogs.image_stored", "dogs.thumbnail_stored"] {
        subscribers.expect(event, id).await;
    }
    let path = format!("/api/v1/dogs/{id}");
    let dog = served.get(&path).await.expect(200).json();
    let thumbnail = served.get(dog["thumbnail_url"].as_str().unwrap()).await.expect(200);
    load_from_memory(&thumbnail.body).unwrap();

    let name = rename_in_other_process(&environment, &served, &path).await;
    subscribers.expect("dogs.updated", id).await;
    // The time to live of the cache is longer than the timeout, so only the event can invalidate the dog.
    eventually("the cached dog is invalidated", async || {
        (served.get(&path).await.expect(200).json()["name"] == name).then_some(())
    })
    .await;

    let deleted = TestResponse::of(served.request("DELETE", &path)).await;
    assert_eq!(deleted.status, 204);
    subscribers.expect("dogs.deleted", id).await;
    served.get(&path).await.expect(404);
    served.stop().await;
}

/// Renames the dog in another process, if the broker connects processes. Returns the new name.
async fn rename_in_other_process(environment: &TestEnvironment, served: &RunningService, path: &str) -> Value {
    let hits = r#"cache_requests_total{cache="dogs.by_id",outcome="hit",tier=""#;
    served.get(path).await.expect(200);
    served.get(path).await.expect(200);
    let text = served.metrics().await;
    let hit = |line: &str| line.starts_with(hits) && !line.ends_with(" 0");
    assert!(text.lines().any(hit), "the dog is in the cache:\n{text}");

    let other = if environment.pair.broker == Backend::Memory {
        None
    } else {
        Some(environment.directory.serve_without_relay().await)
    };
    let name = json!("Laika");
    let renaming = other.as_ref().unwrap_or(served).request("PATCH", path).json(&json!({ "name": &name }));
    assert_eq!(TestResponse::of(renaming).await.expect(200).json()["revision"], 2);
    if let Some(other) = other {
        other.stop().await;
    }
    name
}

/// An event stream over HTTP and one over gRPC.
struct Subscribers {
    events: Messages,
    watched: Streaming<WatchDogsResponse>,
    /// Dogs that were created to detect whether events arrive.
    markers: Vec<String>,
}

impl Subscribers {
    /// Opens both once the process has subscribed to the broker; before that, a stream may start with a reset.
    async fn open(served: &RunningService) -> Self {
        let mut events = served.events(None).await;
        let mut markers = vec![served.dog("marker").await];
        loop {
            let message = events.next().await.expect("the stream does not end");
            if message.event == "reset" {
                markers.push(served.dog("marker").await);
            } else if message.data["subject"] == *markers.last().unwrap() {
                break;
            }
        }
        let watched = served.rpc().watch_dogs(WatchDogsRequest::default()).await.unwrap().into_inner();
        Self { events, watched, markers }
    }

    /// Asserts the next event on both streams. Skips events of markers, which may arrive late: brokers only order the events
    /// of one dog.
    async fn expect(&mut self, event: &str, subject: &str) {
        let message = loop {
            let message = self.events.next().await.expect("the stream does not end");
            if !self.markers.iter().any(|marker| message.data["subject"] == *marker) {
                break message;
            }
        };
        assert_eq!((message.event.as_str(), &message.data["subject"]), (event, &json!(subject)));
        let watched = loop {
            let watched = next_event(&mut self.watched).await.unwrap().unwrap();
            if !self.markers.contains(&watched.subject) {
                break watched;
            }
        };
        assert_eq!((watched.id, watched.r#type.as_str(), watched.subject.as_str()), (message.id, event, subject));
    }
}
