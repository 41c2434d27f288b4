//! Events that are not acknowledged are redelivered; acknowledged ones are not.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::{BackgroundPublisher, BrokerUnderTest, next, next_number};

pub async fn redelivers_a_nacked_event(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    background.publish(broker, vec![broker.event(1, "rex")]);
    next(&mut group).await.nack(Duration::ZERO).await.unwrap();
    let redelivered = next(&mut group).await;
    assert_eq!((&*redelivered.event, redelivered.attempt), (&broker.event(1, "rex"), 2));
    redelivered.ack().await.unwrap();
    background.done().await;
}

pub async fn counts_every_attempt(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    background.publish(broker, vec![broker.event(1, "rex")]);
    for attempt in 1..=5 {
        let delivery = next(&mut group).await;
        assert_eq!(delivery.attempt, attempt);
        delivery.nack(Duration::from_millis(1)).await.unwrap();
    }
    next(&mut group).await.ack().await.unwrap();
    background.done().await;
}

pub async fn waits_for_the_nack_delay(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    background.publish(broker, vec![broker.event(1, "rex")]);
    let delivery = next(&mut group).await;
    let (started, delay) = (Instant::now(), Duration::from_millis(300));
    delivery.nack(delay).await.unwrap();
    next(&mut group).await.ack().await.unwrap();
    assert!(started.elapsed() >= delay, "{:?}", started.elapsed());
    background.done().await;
}

pub async fn redelivers_a_dropped_delivery(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    background.publish(broker, vec![broker.event(1, "rex"), broker.event(2, "rex")]);
    drop(next(&mut group).await);
    let redelivered = next(&mut group).await;
    assert_eq!((redelivered.event.id.as_u128(), redelivered.attempt), (1, 2));
    redelivered.ack().await.unwrap();
    assert_eq!(next_number(&mut group).await, 2);
    background.done().await;
}

pub async fn does_not_redeliver_a_settled_event(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    background.publish(broker, vec![broker.event(1, "rex")]);
    assert_eq!(next_number(&mut group).await, 1);
    drop(group);
    let mut group = broker.join("g").await;
    background.publish(broker, vec![broker.event(2, "rex")]);
    assert_eq!(next_number(&mut group).await, 2);
    background.done().await;
}

pub async fn loses_nothing_among_nacks(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    background.publish(broker, (0..500).map(|number| broker.event(number, &format!("k{}", number % 50))).collect());
    let mut found = BTreeSet::new();
    while found.len() < 500 {
        let delivery = next(&mut group).await;
        let number = delivery.event.id.as_u128();
        match (number % 7, delivery.attempt) {
            (0, 1) => delivery.nack(Duration::from_millis(1)).await.unwrap(),
            (1, 1) => drop(delivery),
            _ => {
                assert!(found.insert(number), "{number} was redelivered after it was settled");
                delivery.ack().await.unwrap();
            }
        }
    }
    background.done().await;
}
