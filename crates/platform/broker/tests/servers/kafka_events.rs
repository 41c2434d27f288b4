//! Helpers to publish and receive events through Kafka.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use kennel_broker::kafka::KafkaBroker;
use kennel_core::{Delivery, Event, EventFilter, Group, Subscriber as _, Subscription, Timestamp};
use uuid::Uuid;

/// Upper bound of every step on a busy machine.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns an event of a topic, identified by its number.
pub(crate) fn event(topic: &str, number: u128, key: &str) -> Event {
    Event {
        id: Uuid::from_u128(number),
        name: "tests.happened".to_owned(),
        source: "/tests".to_owned(),
        topic: topic.to_owned(),
        key: key.to_owned(),
        time: Timestamp::from_millis(1_700_000_000_007).unwrap(),
        content_type: "application/json".to_owned(),
        data: format!(r#"{{"number":{number}}}"#).into(),
        trace: None,
    }
}

pub(crate) fn number(delivery: &Delivery) -> u128 {
    delivery.event.id.as_u128()
}

pub(crate) async fn join(broker: &KafkaBroker, topic: &str, group: &str) -> Box<dyn Subscription> {
    broker.subscribe(topic, &Group::Shared(group.to_owned()), &EventFilter::All).await.unwrap()
}

pub(crate) async fn next(subscription: &mut Box<dyn Subscription>) -> Delivery {
    let next = tokio::time::timeout(TEST_TIMEOUT, subscription.next()).await.expect("a delivery arrives");
    next.expect("the broker is open").unwrap()
}

/// Settles the next `count` events; returns their numbers.
pub(crate) async fn settle(subscription: &mut Box<dyn Subscription>, count: usize) -> Vec<u128> {
    let mut numbers = Vec::with_capacity(count);
    for _ in 0..count {
        let delivery = next(subscription).await;
        numbers.push(number(&delivery));
        delivery.ack().await.unwrap();
    }
    numbers
}

/// Fails when a delivery arrives within the time that one usually takes.
pub(crate) async fn assert_nothing_more(subscription: &mut Box<dyn Subscription>) {
    let next = tokio::time::timeout(Duration::from_millis(500), subscription.next()).await;
    assert!(next.is_err(), "{next:?}");
}

/// Waits until `check` returns a value.
pub(crate) async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let found = tokio::time::timeout(TEST_TIMEOUT, async {
        loop {
            if let Some(found) = check().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("timed out: {what}"))
}
