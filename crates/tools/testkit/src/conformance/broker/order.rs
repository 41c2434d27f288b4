//! Events of a key are delivered in order, and keys do not block each other.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{BackgroundPublisher, BrokerUnderTest, next, next_number, next_numbers};

pub async fn preserves_the_order_of_a_key(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    background.publish(broker, (0..100).map(|number| broker.event(number, "rex")).collect());
    assert_eq!(next_numbers(&mut group, 100).await, (0..100).collect::<Vec<_>>());
    background.done().await;
}

pub async fn preserves_the_order_of_many_keys(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    background.publish(broker, (0..120).map(|number| broker.event(number, &format!("k{}", number % 7))).collect());
    let mut by_key = BTreeMap::<_, Vec<_>>::new();
    for number in next_numbers(&mut group, 120).await {
        by_key.entry(number % 7).or_default().push(number);
    }
    assert_eq!(by_key.len(), 7);
    assert!(by_key.values().all(|numbers| numbers.is_sorted()), "{by_key:?}");
    background.done().await;
}

pub async fn blocks_a_key_while_its_event_is_delayed(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    background.publish(broker, vec![broker.event(1, "rex"), broker.event(2, "rex")]);
    next(&mut group).await.nack(Duration::from_millis(200)).await.unwrap();
    assert_eq!(next_numbers(&mut group, 2).await, [1, 2]);
    background.done().await;
}

pub async fn blocks_a_key_while_its_event_is_in_flight(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    background.publish(broker, vec![broker.event(1, "rex"), broker.event(2, "rex"), broker.event(3, "bello")]);
    let in_flight = next(&mut group).await;
    let (first, then) = if in_flight.event.key == "rex" { (3, 1) } else { (1, 3) };
    assert_eq!(next_number(&mut group).await, first);
    assert_ne!(in_flight.event.id.as_u128(), 2);
    assert_eq!(in_flight.event.id.as_u128(), then);
    in_flight.ack().await.unwrap();
    assert_eq!(next_number(&mut group).await, 2);
    background.done().await;
}

pub async fn does_not_block_other_keys(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    background.publish(broker, vec![broker.event(1, "poison")]);
    next(&mut group).await.nack(Duration::from_secs(5)).await.unwrap();
    background.publish(broker, vec![broker.event(2, "poison"), broker.event(3, "rex"), broker.event(4, "rex")]);
    assert_eq!(next_numbers(&mut group, 4).await, [3, 4, 1, 2]);
    background.done().await;
}
