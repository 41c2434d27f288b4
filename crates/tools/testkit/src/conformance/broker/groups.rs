//! A group receives each event once, distributed among its members.

use kennel_core::{Event, EventFilter, Group};
use tokio::time::timeout;

use super::{BackgroundPublisher, BrokerUnderTest, next, next_number, next_numbers};
use crate::conformance::CASE_TIMEOUT;

pub async fn delivers_every_event_to_every_group(broker: &BrokerUnderTest) {
    let (mut one, mut other) = (broker.join("one").await, broker.join("other").await);
    let mut background = BackgroundPublisher::default();
    background.publish(broker, vec![broker.event(1, "rex"), broker.event(2, "rex")]);
    assert_eq!(next_numbers(&mut one, 2).await, [1, 2]);
    assert_eq!(next_numbers(&mut other, 2).await, [1, 2]);
    background.done().await;
}

pub async fn distributes_events_among_members(broker: &BrokerUnderTest) {
    let (mut one, mut other) = (broker.join("g").await, broker.join("g").await);
    let mut background = BackgroundPublisher::default();
    background.publish(broker, (0..40).map(|number| broker.event(number, &format!("k{number}"))).collect());
    let mut found = Vec::new();
    while found.len() < 40 {
        let delivery = timeout(CASE_TIMEOUT, async {
            tokio::select! { d = one.next() => d, d = other.next() => d }
        });
        let delivery = delivery.await.expect("a delivery arrives").unwrap().unwrap();
        found.push(delivery.event.id.as_u128());
        delivery.ack().await.unwrap();
    }
    found.sort_unstable();
    assert_eq!(found, (0..40).collect::<Vec<_>>());
    background.done().await;
}

pub async fn separates_groups_of_the_same_name_on_two_topics(broker: &BrokerUnderTest) {
    let topic = format!("{}.other", broker.topic);
    let mut here = broker.join("g").await;
    let mut there =
        broker.subscriber.subscribe(&topic, &Group::Shared("g".to_owned()), &EventFilter::All).await.unwrap();
    let mut background = BackgroundPublisher::default();
    background.publish(broker, vec![broker.event(1, "rex"), Event { topic, ..broker.event(2, "rex") }]);
    assert_eq!(next_number(&mut there).await, 2);
    assert_eq!(next_number(&mut here).await, 1);
    background.done().await;
}

pub async fn reassigns_a_dropped_subscription(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    background.publish(broker, vec![broker.event(1, "rex"), broker.event(2, "rex")]);
    let delivery = next(&mut group).await;
    let mut other = broker.join("g").await;
    drop(group);
    drop(delivery);
    assert_eq!(next_numbers(&mut other, 2).await, [1, 2]);
    background.done().await;
}

pub async fn retains_the_position_of_a_group_without_members(broker: &BrokerUnderTest) {
    drop(broker.join("g").await);
    let mut background = BackgroundPublisher::default();
    background.publish(broker, vec![broker.event(1, "rex")]);
    tokio::task::yield_now().await;
    let mut group = broker.join("g").await;
    assert_eq!(next_number(&mut group).await, 1);
    background.done().await;
}
