//! Broadcast subscriptions receive every event from now on.

use std::time::Duration;

use super::{BackgroundPublisher, BrokerUnderTest, next, next_number, next_numbers};

pub async fn broadcasts_to_every_subscription(broker: &BrokerUnderTest) {
    let (mut one, mut other) = (broker.listen().await, broker.listen().await);
    let mut background = BackgroundPublisher::default();
    background.publish(broker, vec![broker.event(1, "rex"), broker.event(2, "rex")]);
    assert_eq!(next_numbers(&mut one, 2).await, [1, 2]);
    assert_eq!(next_numbers(&mut other, 2).await, [1, 2]);
    background.done().await;
}

pub async fn broadcasts_no_earlier_events(broker: &BrokerUnderTest) {
    let mut witness = broker.listen().await;
    broker.publisher.publish(&[broker.event(1, "rex")]).await.unwrap();
    assert_eq!(next_number(&mut witness).await, 1);
    let mut late = broker.listen().await;
    broker.publisher.publish(&[broker.event(2, "rex")]).await.unwrap();
    assert_eq!(next_number(&mut late).await, 2);
}

pub async fn broadcasts_each_event_once(broker: &BrokerUnderTest) {
    let mut listener = broker.listen().await;
    broker.publisher.publish(&[broker.event(1, "rex"), broker.event(2, "rex"), broker.event(3, "rex")]).await.unwrap();
    next(&mut listener).await.nack(Duration::ZERO).await.unwrap();
    drop(next(&mut listener).await);
    assert_eq!(next_number(&mut listener).await, 3);
}

pub async fn broadcasts_independently_of_groups(broker: &BrokerUnderTest) {
    let (mut listener, mut group) = (broker.listen().await, broker.join("g").await);
    let mut background = BackgroundPublisher::default();
    background.publish(broker, vec![broker.event(1, "rex")]);
    assert_eq!(next_number(&mut listener).await, 1, "does not wait for the group");
    assert_eq!(next_number(&mut group).await, 1);
    background.done().await;
}
