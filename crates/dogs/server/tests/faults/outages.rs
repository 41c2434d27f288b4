//! A broker that goes away and comes back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kennel_broker::Backend;
use kennel_testkit::{Mode, Upstream};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::place::{corner, furnished, listening};
use crate::support::service_dir::{RunningService, ServiceDir, eventually};
use crate::support::{Message, Messages, TestResponse};

/// Callers at once, and the dogs that each makes and changes.
const CALLERS: usize = 4;
const DOGS: usize = 15;
/// What is told of each dog, in order.
const STORY: [&str; 3] = ["dogs.created", "dogs.updated 2", "dogs.updated 3"];
/// Longer than an answer may take that does not wait for the broker.
const QUICK: Duration = Duration::from_secs(5);

async fn timely(request: reqwest::RequestBuilder, status: u16) -> TestResponse {
    let began = Instant::now();
    let answer = TestResponse::of(request).await.expect(status);
    assert!(began.elapsed() < QUICK, "an answer took {:?}", began.elapsed());
    answer
}

/// Makes a dog and changes it twice; its id.
async fn make(served: &RunningService) -> String {
    let dog = json!({ "breed": "husky", "name": "0" });
    let id = timely(served.request("POST", "/api/v1/dogs").json(&dog), 201).await.json()["id"].clone();
    let id = id.as_str().unwrap().to_owned();
    for name in ["1", "2"] {
        let request = served.request("PATCH", &format!("/api/v1/dogs/{id}"));
        timely(request.json(&json!({ "name": name })), 200).await;
    }
    id
}

/// Makes many dogs, all of which have to be answered quickly.
async fn make_many(served: &Arc<RunningService>) -> Vec<String> {
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let served = Arc::clone(served);
        callers.spawn(async move {
            let mut ids = Vec::new();
            for _ in 0..DOGS {
                ids.push(make(&served).await);
            }
            ids
        });
    }
    callers.join_all().await.concat()
}

fn line(message: &Message) -> String {
    let revision = message.data["data"]["revision"].as_u64();
    let revision = revision.map(|revision| format!(" {revision}")).unwrap_or_default();
    format!("{}{revision}", message.event)
}

/// What is told of each of these dogs, in order, until as much was told as there is. Dogs may be told of in any order.
async fn told(events: &mut Messages, dogs: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut told = BTreeMap::<_, Vec<_>>::new();
    let mut left = dogs.len() * STORY.len();
    while left > 0 {
        let message = events.next().await.expect("the stream does not end");
        let subject = message.data["subject"].as_str().unwrap_or_else(|| panic!("{message:?}")).to_owned();
        if dogs.contains(&subject) {
            told.entry(subject).or_default().push(line(&message));
            left -= 1;
        }
    }
    told
}

fn whole(dogs: &[String]) -> BTreeMap<String, Vec<String>> {
    dogs.iter().map(|dog| (dog.clone(), STORY.map(str::to_owned).to_vec())).collect()
}

async fn pending(served: &RunningService, what: &str, holds: impl Fn(f64) -> bool) {
    eventually(what, async || holds(served.metric("outbox_pending").await).then_some(())).await;
}

pub async fn dogs_are_made_while_the_broker_is_away_and_told_of_in_order_when_it_is_back(broker: Backend) {
    let Some(Some(corner)) = corner(broker).await else { return };
    let upstream = Upstream::new().await;
    let home = furnished(ServiceDir::with_upstream(&upstream), corner.proxied());
    let served = Arc::new(home.serve().await);
    let (mut events, anchor) = listening(&served, &served).await;

    corner.faults().set(Mode::Drop);
    let dogs = make_many(&served).await;
    let most = f64::from(u32::try_from(dogs.len() * STORY.len()).unwrap());
    pending(&served, "the backlog is told", |pending| pending >= most).await;
    served.get("/ready").await.expect(200);
    corner.faults().set(Mode::Pass);
    pending(&served, "the backlog is gone", |pending| pending == 0.0).await;

    assert_eq!(told(&mut events, &dogs).await, whole(&dogs), "who listened all the while");
    assert_eq!(told(&mut served.events(Some(&anchor)).await, &dogs).await, whole(&dogs), "who reads it up");
    // Consumers are back as well.
    let pictured = served.fetch().await;
    eventually("the small copy is made", async || {
        let dog = served.get(&format!("/api/v1/dogs/{pictured}")).await.expect(200).json();
        dog["thumbnail_url"].as_str().map(str::to_owned)
    })
    .await;
    Arc::into_inner(served).unwrap().stop().await;
}

pub async fn listeners_miss_nothing_that_others_publish_while_they_are_cut_off(broker: Backend) {
    let Some(Some(corner)) = corner(broker).await else { return };
    let home = furnished(ServiceDir::new(), corner.proxied());
    let cut_off = home.serve_without_relay().await;
    // The other process has the same home, and a way to the broker that does not fail.
    let home = furnished(home, corner.direct());
    let publishing = Arc::new(home.serve().await);
    let (mut events, _) = listening(&cut_off, &publishing).await;
    let (mut published, _) = listening(&publishing, &publishing).await;

    corner.faults().set(Mode::Drop);
    let dogs = make_many(&publishing).await;
    assert_eq!(told(&mut published, &dogs).await, whole(&dogs), "who is not cut off");
    corner.faults().set(Mode::Pass);
    assert_eq!(told(&mut events, &dogs).await, whole(&dogs), "who was cut off");
    cut_off.stop().await;
    Arc::into_inner(publishing).unwrap().stop().await;
}
