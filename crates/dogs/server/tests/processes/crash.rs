//! Processes that are killed: nothing that was committed goes unsaid, and nothing has its effect twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dogs_storages::{StorageConfig, Stores};
use kennel_core::outbox::History;
use kennel_core::{Clock as _, DeadLetter, SystemClock};
use kennel_storage::sqlite::SqliteConfig;
use kennel_testkit::Upstream;
use tokio::task::JoinSet;

use crate::home::{Home, Served, eventually};

const STORY: [&str; 3] = ["dogs.created", "dogs.image_stored", "dogs.thumbnail_stored"];

/// The store of a home, past the service.
async fn stores(home: &Home) -> Stores {
    let sqlite = SqliteConfig::at(home.path().join("data/dogs.db"));
    dogs_storages::connect(&StorageConfig { sqlite, ..StorageConfig::default() }).await.unwrap()
}

/// How often each kind of event was told of each dog.
fn count(told: &[(String, String)]) -> BTreeMap<(&str, &str), usize> {
    let mut counts = BTreeMap::new();
    for (name, subject) in told {
        *counts.entry((subject.as_str(), name.as_str())).or_default() += 1;
    }
    counts
}

/// Waits until every dog with a picture has its small copy.
async fn all_made_small(served: &Served) {
    eventually("every small copy is made", async || {
        let dogs = served.dogs().await;
        let waiting = |dog: &&serde_json::Value| !dog["image_url"].is_null() && dog["thumbnail_url"].is_null();
        (!dogs.iter().any(|dog| waiting(&dog))).then_some(())
    })
    .await;
}

/// What was told since `anchor`, once there is nothing left to tell: events of different dogs overtake each other.
async fn told_since(home: &Home, served: &Served, anchor: &str) -> Vec<(String, String)> {
    let stores = stores(home).await;
    eventually("all is told", async || (stores.outbox.backlog().await.unwrap().pending == 0).then_some(())).await;
    stores.close().await;
    served.told_since(anchor).await
}

#[tokio::test]
async fn what_was_committed_before_a_kill_is_told_after_it() {
    let upstream = Upstream::new().await;
    let home = Home::with_upstream(&upstream);
    let served = home.serve().await;
    let anchor = served.anchor().await;
    served.stop().await;

    let silent = home.serve_without_relay().await;
    let (named, pictured) = (silent.dog("Balto").await, silent.fetch().await);
    silent.kill().await;
    let unsaid = stores(&home).await;
    assert_eq!(unsaid.outbox.backlog().await.unwrap().pending, 3);
    unsaid.close().await;

    let served = home.serve().await;
    let mut events = served.events(Some(&anchor)).await;
    assert_eq!(events.expect("dogs.created").await.data["subject"], named);
    for name in STORY {
        assert_eq!(events.expect(name).await.data["subject"], pictured);
    }
    let told = told_since(&home, &served, &anchor).await;
    let expected = [(&named, STORY[0]), (&pictured, STORY[0]), (&pictured, STORY[1]), (&pictured, STORY[2])];
    let expected = expected.map(|(id, name)| (name.to_owned(), id.clone()));
    assert_eq!(told, expected);
    served.stop().await;
}

#[tokio::test]
async fn an_event_that_is_published_twice_has_its_effect_once() {
    let upstream = Upstream::new().await;
    let home = Home::with_upstream(&upstream);
    let served = home.serve().await;
    let anchor = served.anchor().await;
    let id = served.fetch().await;
    all_made_small(&served).await;

    // A relay that was killed before it could note what it had published leaves the event as a replay does.
    let store = stores(&home).await;
    let event = eventually("the event is published", async || {
        let History::Events(events) = store.outbox.history(None, 100).await.unwrap() else { return None };
        events.into_iter().find(|event| event.name == "dogs.image_stored")
    })
    .await;
    // The thumbnailer has its receipt still: another group has given up.
    let group = "dogs.other".to_owned();
    let at = SystemClock.now();
    let letter = DeadLetter { event: event.clone(), group, attempts: 1, reason: "test".to_owned(), at };
    store.dead_letter_sink.store(&letter).await.unwrap();
    home.run(&["dlq", "replay", &event.id.to_string()]).await.ends(0);
    store.close().await;
    let seen = r#"broker_consumed_total{group="dogs.thumbnailer",outcome="duplicate",topic="dogs.events"}"#;
    eventually("it came again", async || (served.metric(seen).await >= 1.0).then_some(())).await;

    let told = told_since(&home, &served, &anchor).await;
    assert_eq!(count(&told)[&(id.as_str(), "dogs.thumbnail_stored")], 1, "{told:?}");
    served.stop().await;
}

/// Fetches with some callers at once until `enough` answers came; the dogs that were answered.
async fn fetch_until(served: &Arc<Served>, enough: usize) -> Vec<String> {
    let answers = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..3 {
        let (served, answers) = (Arc::clone(served), Arc::clone(&answers));
        callers.spawn(async move {
            let mut fetched = Vec::new();
            while answers.load(Ordering::SeqCst) < enough {
                let Ok(response) = served.request("GET", "/api/v1/dogs/husky/image").send().await else { break };
                let Ok(dog) = response.json::<serde_json::Value>().await else { break };
                fetched.push(dog["id"].as_str().unwrap().to_owned());
                if answers.fetch_add(1, Ordering::SeqCst) + 1 == enough {
                    // The others are in the middle of theirs.
                    served.process.kill();
                }
            }
            fetched
        });
    }
    callers.join_all().await.concat()
}

#[tokio::test]
async fn kills_at_any_point_lose_and_double_nothing() {
    let upstream = Upstream::new().await;
    let home = Home::with_upstream(&upstream);
    let served = home.serve().await;
    let anchor = served.anchor().await;
    served.stop().await;
    let mut answered = Vec::new();
    for enough in [1, 4, 7, 13] {
        let served = Arc::new(home.serve().await);
        answered.extend(fetch_until(&served, enough).await);
        Arc::into_inner(served).unwrap().kill().await;
    }

    let served = home.serve().await;
    all_made_small(&served).await;
    let dogs = served.dogs().await;
    let pictured: Vec<_> =
        dogs.iter().filter(|dog| !dog["image_url"].is_null()).map(|dog| dog["id"].as_str().unwrap()).collect();
    assert!(
        answered.iter().all(|id| pictured.contains(&id.as_str())),
        "an answer was given for a dog that is not kept"
    );
    let told = told_since(&home, &served, &anchor).await;
    let expected: BTreeMap<_, _> = pictured.iter().flat_map(|&id| STORY.map(|name| ((id, name), 1))).collect();
    assert_eq!(count(&told), expected);
    for id in pictured {
        served.get(&format!("/api/v1/dogs/{id}/photo?variant=thumbnail")).await.expect(200);
    }
    served.stop().await;
}
