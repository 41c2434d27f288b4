//! Killed processes: every committed event is published, and none takes effect twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dogs_storages::Stores;
use kennel_core::outbox::History;
use kennel_core::{Clock as _, DeadLetter, SystemClock};
use kennel_storage::StorageConfig;
use kennel_testkit::Upstream;
use tokio::task::JoinSet;

use crate::service_dir::{RunningService, ServiceDir, eventually};

const EVENTS: [&str; 3] = ["dogs.created", "dogs.image_stored", "dogs.thumbnail_stored"];

/// Opens the store of a service directory, without the service.
async fn stores(directory: &ServiceDir) -> Stores {
    let config = StorageConfig::sqlite(directory.path().join("data/dogs.db"));
    dogs_storages::open(&config, &prometheus::Registry::new()).await.unwrap()
}

/// The number of events by dog and type.
fn count(events: &[(String, String)]) -> BTreeMap<(&str, &str), usize> {
    let mut counts = BTreeMap::new();
    for (name, subject) in events {
        *counts.entry((subject.as_str(), name.as_str())).or_default() += 1;
    }
    counts
}

/// Waits until every dog with an image has a thumbnail.
async fn wait_for_thumbnails(served: &RunningService) {
    eventually("all thumbnails exist", async || {
        let dogs = served.dogs().await;
        let waiting = |dog: &&serde_json::Value| !dog["image_url"].is_null() && dog["thumbnail_url"].is_null();
        (!dogs.iter().any(|dog| waiting(&dog))).then_some(())
    })
    .await;
}

/// The events after `anchor`, once all are published: events of different dogs are not ordered.
async fn events_since(directory: &ServiceDir, served: &RunningService, anchor: &str) -> Vec<(String, String)> {
    let stores = stores(directory).await;
    eventually("all events are published", async || {
        (stores.database.outbox.backlog().await.unwrap().pending == 0).then_some(())
    })
    .await;
    stores.database.close().await;
    served.events_since(anchor).await
}

#[tokio::test]
async fn events_committed_before_a_kill_are_published_after_it() {
    let upstream = Upstream::new().await;
    let directory = ServiceDir::with_upstream(&upstream);
    let served = directory.serve().await;
    let anchor = served.anchor().await;
    served.stop().await;

    let without_relay = directory.serve_without_relay().await;
    let (created, fetched) = (without_relay.dog("Balto").await, without_relay.fetch().await);
    without_relay.kill().await;
    let store = stores(&directory).await;
    assert_eq!(store.database.outbox.backlog().await.unwrap().pending, 3);
    store.database.close().await;

    let served = directory.serve().await;
    let mut events = served.events(Some(&anchor)).await;
    assert_eq!(events.expect("dogs.created").await.data["subject"], created);
    for name in EVENTS {
        assert_eq!(events.expect(name).await.data["subject"], fetched);
    }
    let received = events_since(&directory, &served, &anchor).await;
    let expected = [(&created, EVENTS[0]), (&fetched, EVENTS[0]), (&fetched, EVENTS[1]), (&fetched, EVENTS[2])];
    let expected = expected.map(|(id, name)| (name.to_owned(), id.clone()));
    assert_eq!(received, expected);
    served.stop().await;
}

#[tokio::test]
async fn an_event_that_is_published_twice_takes_effect_once() {
    let upstream = Upstream::new().await;
    let directory = ServiceDir::with_upstream(&upstream);
    let served = directory.serve().await;
    let anchor = served.anchor().await;
    let id = served.fetch().await;
    wait_for_thumbnails(&served).await;

    // A replay has the effect of a relay that was killed before it marked the event as published.
    let store = stores(&directory).await;
    let event = eventually("the event is published", async || {
        let History::Events(events) = store.database.outbox.history(None, 100).await.unwrap() else { return None };
        events.into_iter().find(|event| event.name == "dogs.image_stored")
    })
    .await;
    // The receipt of the thumbnailer remains, because the dead letter belongs to another group.
    let group = "dogs.other".to_owned();
    let at = SystemClock.now();
    let dead_letter = DeadLetter { event: event.clone(), group, attempts: 1, reason: "test".to_owned(), at };
    store.database.dead_letter_sink.store(&dead_letter).await.unwrap();
    directory.run(&["dlq", "replay", &event.id.to_string()]).await.ends(0);
    store.database.close().await;
    let seen = r#"broker_consumed_total{group="dogs.thumbnailer",outcome="duplicate",topic="dogs.events"}"#;
    eventually("it was delivered again", async || (served.metric(seen).await >= 1.0).then_some(())).await;

    let received = events_since(&directory, &served, &anchor).await;
    assert_eq!(count(&received)[&(id.as_str(), "dogs.thumbnail_stored")], 1, "{received:?}");
    served.stop().await;
}

/// Fetches with concurrent callers until there are `enough` responses, then kills the service. Returns the ids of the
/// responses.
async fn fetch_until(served: &Arc<RunningService>, enough: usize) -> Vec<String> {
    let responses = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..3 {
        let (served, responses) = (Arc::clone(served), Arc::clone(&responses));
        callers.spawn(async move {
            let mut fetched = Vec::new();
            while responses.load(Ordering::SeqCst) < enough {
                let Ok(response) = served.request("GET", "/api/v1/dogs/husky/image").send().await else { break };
                let Ok(dog) = response.json::<serde_json::Value>().await else { break };
                fetched.push(dog["id"].as_str().unwrap().to_owned());
                if responses.fetch_add(1, Ordering::SeqCst) + 1 == enough {
                    // The requests of the other callers are still running.
                    served.process.kill();
                }
            }
            fetched
        });
    }
    callers.join_all().await.concat()
}

#[tokio::test]
async fn kills_at_any_point_lose_and_duplicate_nothing() {
    let upstream = Upstream::new().await;
    let directory = ServiceDir::with_upstream(&upstream);
    let served = directory.serve().await;
    let anchor = served.anchor().await;
    served.stop().await;
    let mut responded = Vec::new();
    for enough in [1, 4, 7, 13] {
        let served = Arc::new(directory.serve().await);
        responded.extend(fetch_until(&served, enough).await);
        Arc::into_inner(served).unwrap().kill().await;
    }

    let served = directory.serve().await;
    wait_for_thumbnails(&served).await;
    let dogs = served.dogs().await;
    let with_image: Vec<_> =
        dogs.iter().filter(|dog| !dog["image_url"].is_null()).map(|dog| dog["id"].as_str().unwrap()).collect();
    assert!(responded.iter().all(|id| with_image.contains(&id.as_str())), "a dog of a response is not stored");
    let received = events_since(&directory, &served, &anchor).await;
    let expected: BTreeMap<_, _> = with_image.iter().flat_map(|&id| EVENTS.map(|name| ((id, name), 1))).collect();
    assert_eq!(count(&received), expected);
    for id in with_image {
        served.get(&format!("/api/v1/dogs/{id}/photo?variant=thumbnail")).await.expect(200);
    }
    served.stop().await;
}
