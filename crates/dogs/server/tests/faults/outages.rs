//! A broker that becomes unreachable and recovers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kennel_broker::Backend;
use kennel_testkit::{Mode, Upstream};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::broker::{proxied_broker, subscribed, with_variables};
use crate::service_dir::{RunningService, ServiceDir, eventually};
use crate::support::{Message, Messages, TestResponse};

/// The number of concurrent callers, and of the dogs that each creates and updates.
const CALLERS: usize = 4;
const DOGS: usize = 15;
/// The events of each dog, in order.
const EVENTS: [&str; 3] = ["dogs.created", "dogs.updated 2", "dogs.updated 3"];
/// The maximum duration of a request, which must not wait for the broker.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

async fn expect_fast(request: reqwest::RequestBuilder, status: u16) -> TestResponse {
    let started = Instant::now();
    let response = TestResponse::of(request).await.expect(status);
    assert!(started.elapsed() < REQUEST_TIMEOUT, "a request took {:?}", started.elapsed());
    response
}

/// Creates a dog and updates it twice; returns its id.
async fn create(served: &RunningService) -> String {
    let dog = json!({ "breed": "husky", "name": "0" });
    let id = expect_fast(served.request("POST", "/api/v1/dogs").json(&dog), 201).await.json()["id"].clone();
    let id = id.as_str().unwrap().to_owned();
    for name in ["1", "2"] {
        let request = served.request("PATCH", &format!("/api/v1/dogs/{id}"));
        expect_fast(request.json(&json!({ "name": name })), 200).await;
    }
    id
}

/// Creates many dogs concurrently.
async fn create_many(served: &Arc<RunningService>) -> Vec<String> {
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let served = Arc::clone(served);
        callers.spawn(async move {
            let mut ids = Vec::new();
            for _ in 0..DOGS {
                ids.push(create(&served).await);
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

/// The events of each of these dogs, in order, once all have arrived. Events of different dogs are not ordered.
async fn received(events: &mut Messages, dogs: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut received = BTreeMap::<_, Vec<_>>::new();
    let mut missing = dogs.len() * EVENTS.len();
    while missing > 0 {
        let message = events.next().await.expect("the stream does not end");
        let subject = message.data["subject"].as_str().unwrap_or_else(|| panic!("{message:?}")).to_owned();
        if dogs.contains(&subject) {
            received.entry(subject).or_default().push(line(&message));
            missing -= 1;
        }
    }
    received
}

fn expected(dogs: &[String]) -> BTreeMap<String, Vec<String>> {
    dogs.iter().map(|dog| (dog.clone(), EVENTS.map(str::to_owned).to_vec())).collect()
}

async fn pending(served: &RunningService, what: &str, condition: impl Fn(f64) -> bool) {
    eventually(what, async || condition(served.metric("outbox_pending").await).then_some(())).await;
}

pub async fn dogs_are_created_during_an_outage_and_published_in_order_afterwards(broker: Backend) {
    let Some(Some(proxied)) = proxied_broker(broker).await else { return };
    let upstream = Upstream::new().await;
    let directory = with_variables(ServiceDir::with_upstream(&upstream), proxied.proxied());
    let served = Arc::new(directory.serve().await);
    let (mut events, anchor) = subscribed(&served, &served).await;

    proxied.faults().set(Mode::Drop);
    let dogs = create_many(&served).await;
    let total = f64::from(u32::try_from(dogs.len() * EVENTS.len()).unwrap());
    pending(&served, "all events are pending", |pending| pending >= total).await;
    served.get("/ready").await.expect(200);
    proxied.faults().set(Mode::Pass);
    pending(&served, "all events are published", |pending| pending == 0.0).await;

    assert_eq!(received(&mut events, &dogs).await, expected(&dogs), "a stream that was open during the outage");
    assert_eq!(
        received(&mut served.events(Some(&anchor)).await, &dogs).await,
        expected(&dogs),
        "a stream that resumes after the outage"
    );
    // Consumers recover, too.
    let fetched = served.fetch().await;
    eventually("the thumbnail exists", async || {
        let dog = served.get(&format!("/api/v1/dogs/{fetched}")).await.expect(200).json();
        dog["thumbnail_url"].as_str().map(str::to_owned)
    })
    .await;
    Arc::into_inner(served).unwrap().stop().await;
}

pub async fn listeners_miss_nothing_that_others_publish_while_they_are_disconnected(broker: Backend) {
    let Some(Some(proxied)) = proxied_broker(broker).await else { return };
    let directory = with_variables(ServiceDir::new(), proxied.proxied());
    let cut_off = directory.serve_without_relay().await;
    // The other process has the same directory, and a direct connection to the broker.
    let directory = with_variables(directory, proxied.direct());
    let publishing = Arc::new(directory.serve().await);
    let (mut events, _) = subscribed(&cut_off, &publishing).await;
    let (mut published, _) = subscribed(&publishing, &publishing).await;

    proxied.faults().set(Mode::Drop);
    let dogs = create_many(&publishing).await;
    assert_eq!(received(&mut published, &dogs).await, expected(&dogs), "the process with a direct connection");
    proxied.faults().set(Mode::Pass);
    assert_eq!(received(&mut events, &dogs).await, expected(&dogs), "the process that was cut off");
    cut_off.stop().await;
    Arc::into_inner(publishing).unwrap().stop().await;
}
