//! One dog from the request to the small copy of its picture, and to everyone who listens.

use image::load_from_memory;
use kennel_broker::Backend;
use kennel_proto::dogs::v1::{WatchDogsRequest, WatchDogsResponse};
use serde_json::{Value, json};
use tonic::Streaming;

use crate::pair::{Kennel, Pair};
use crate::service_dir::{RunningService, eventually};
use crate::support::{Messages, TestResponse, next_event};

pub async fn check(pair: Pair) {
    let Some(kennel) = pair.furnish().await else { return };
    let served = kennel.serve().await;
    let mut ears = Ears::open(&served).await;

    let fetched = served.get("/api/v1/dogs/hound/afghan/image").await.expect(200).json();
    let id = fetched["id"].as_str().unwrap();
    for event in ["dogs.created", "dogs.image_stored", "dogs.thumbnail_stored"] {
        ears.hear(event, id).await;
    }
    let path = format!("/api/v1/dogs/{id}");
    let dog = served.get(&path).await.expect(200).json();
    let small = served.get(dog["thumbnail_url"].as_str().unwrap()).await.expect(200);
    load_from_memory(&small.body).unwrap();

    let name = rename_elsewhere(&kennel, &served, &path).await;
    ears.hear("dogs.updated", id).await;
    // The cache keeps a dog for longer than anyone waits here: only the event makes it ask the store again.
    eventually("the change is seen through the cache", async || {
        (served.get(&path).await.expect(200).json()["name"] == name).then_some(())
    })
    .await;

    let gone = TestResponse::of(served.request("DELETE", &path)).await;
    assert_eq!(gone.status, 204);
    ears.hear("dogs.deleted", id).await;
    served.get(&path).await.expect(404);
    served.stop().await;
}

/// Changes the dog in another process, where the broker reaches from one to the other; the name that it has then.
async fn rename_elsewhere(kennel: &Kennel, served: &RunningService, path: &str) -> Value {
    let hits = r#"cache_requests_total{cache="dogs.by_id",outcome="hit",tier=""#;
    served.get(path).await.expect(200);
    served.get(path).await.expect(200);
    let text = served.metrics().await;
    let hit = |line: &str| line.starts_with(hits) && !line.ends_with(" 0");
    assert!(text.lines().any(hit), "the dog is in the cache:\n{text}");

    let other =
        if kennel.pair.broker == Backend::Memory { None } else { Some(kennel.home.serve_without_relay().await) };
    let name = json!("Laika");
    let renaming = other.as_ref().unwrap_or(served).request("PATCH", path).json(&json!({ "name": &name }));
    assert_eq!(TestResponse::of(renaming).await.expect(200).json()["revision"], 2);
    if let Some(other) = other {
        other.stop().await;
    }
    name
}

/// Who listens over HTTP and over gRPC.
struct Ears {
    events: Messages,
    watched: Streaming<WatchDogsResponse>,
    /// Dogs that were made to see whether anything is heard.
    markers: Vec<String>,
}

impl Ears {
    /// Opens both once the process listens to the broker; before that it could only say that it may have missed something.
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

    /// The next event is this one, and both hear of it. A marker may be told of late: brokers keep the order of one dog's
    /// events only.
    async fn hear(&mut self, event: &str, subject: &str) {
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
