//! An event that a group gives up on becomes its dead letter.

use std::time::Duration;

use kennel_core::Event;

use super::{BackgroundPublisher, BrokerUnderTest, next, next_number};

pub async fn stores_dead_letters(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    background.publish(broker, vec![broker.event(1, "rex")]);
    next(&mut group).await.nack(Duration::ZERO).await.unwrap();
    next(&mut group).await.dead_letter("does not bark").await.unwrap();
    let dead_letters = broker.dead_letters.all().await;
    let [dead_letter] = dead_letters.as_slice() else { panic!("one dead letter, not {dead_letters:?}") };
    assert_eq!(dead_letter.event, broker.event(1, "rex"));
    assert_eq!(
        (dead_letter.group.as_str(), dead_letter.attempts, dead_letter.reason.as_str()),
        ("g", 2, "does not bark")
    );
    background.done().await;
}

pub async fn a_dead_letter_has_the_bytes_of_its_event(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    let (content_type, data) = ("application/protobuf".to_owned(), vec![10, 0, 255].into());
    let event = Event { content_type, data, ..broker.event(1, "rex") };
    background.publish(broker, vec![event.clone()]);
    next(&mut group).await.dead_letter("does not bark").await.unwrap();
    let dead_letters = broker.dead_letters.all().await;
    let [dead_letter] = dead_letters.as_slice() else { panic!("one dead letter, not {dead_letters:?}") };
    assert_eq!(dead_letter.event, event);
    background.done().await;
}

pub async fn continues_after_a_dead_letter(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    background.publish(broker, vec![broker.event(1, "rex"), broker.event(2, "rex")]);
    next(&mut group).await.dead_letter("bad").await.unwrap();
    assert_eq!(next_number(&mut group).await, 2);
    background.done().await;
}

pub async fn a_dead_letter_affects_only_its_group(broker: &BrokerUnderTest) {
    let (mut one, mut other) = (broker.join("one").await, broker.join("other").await);
    let mut background = BackgroundPublisher::default();
    background.publish(broker, vec![broker.event(1, "rex")]);
    next(&mut one).await.dead_letter("bad").await.unwrap();
    let delivery = next(&mut other).await;
    assert_eq!(delivery.attempt, 1);
    delivery.ack().await.unwrap();
    assert_eq!(broker.dead_letters.all().await.len(), 1);
    background.done().await;
}
