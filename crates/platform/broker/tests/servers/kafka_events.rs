//! Events to send through Kafka, and receiving them.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use kennel_broker::kafka::KafkaBroker;
use kennel_core::{Delivery, Event, Group, Subscriber as _, Subscription, Timestamp};
use uuid::Uuid;

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An event of a topic, told apart by its number.
pub(crate) fn event(topic: &str, number: u128, key: &str) -> Event {
    Event {
        id: Uuid::from_u128(number),
        name: "tests.happened".to_owned(),
        source: "/tests".to_owned(),
        topic: topic.to_owned(),
        key: key.to_owned(),
        time: Timestamp::from_millis(1_700_000_000_007).unwrap(),
        data: format!(r#"{{"number":{number}}}"#).into(),
        trace: None,
    }
}

pub(crate) fn number(delivery: &Delivery) -> u128 {
    delivery.event.id.as_u128()
}

pub(crate) async fn join(broker: &KafkaBroker, topic: &str, group: &str) -> Box<dyn Subscription> {
    broker.subscribe(topic, &Group::Shared(group.to_owned())).await.unwrap()
}

pub(crate) async fn next(subscription: &mut Box<dyn Subscription>) -> Delivery {
    let next = tokio::time::timeout(PATIENCE, subscription.next()).await.expect("a delivery comes");
    next.expect("the broker is open").unwrap()
}

/// Settles the next `count` events; answers their numbers.
pub(crate) async fn settle(subscription: &mut Box<dyn Subscription>, count: usize) -> Vec<u128> {
    let mut numbers = Vec::with_capacity(count);
    for _ in 0..count {
        let delivery = next(subscription).await;
        numbers.push(number(&delivery));
        delivery.ack().await.unwrap();
    }
    numbers
}

/// Fails when something comes within the time that something usually takes to come.
pub(crate) async fn nothing_more(subscription: &mut Box<dyn Subscription>) {
    let next = tokio::time::timeout(Duration::from_millis(500), subscription.next()).await;
    assert!(next.is_err(), "{next:?}");
}

/// Waits until `look` finds something.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("in vain: {what}"))
}
