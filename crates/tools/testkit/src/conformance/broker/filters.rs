//! A subscription delivers the events that its filter includes; the others are settled without a delivery.

use std::time::Duration;

use kennel_core::{Event, EventFilter, Group, Subscription};

use super::{BackgroundPublisher, BrokerUnderTest, next, next_number, next_numbers};
use crate::conformance::eventually;

const WANTED: &str = "tests.wanted";

fn wanted(event: Event) -> Event {
    Event { name: WANTED.to_owned(), ..event }
}

async fn join_filtered(broker: &BrokerUnderTest, group: &str) -> Box<dyn Subscription> {
    let filter = EventFilter::names([WANTED]);
    broker.subscriber.subscribe(&broker.topic, &Group::Shared(group.to_owned()), &filter).await.unwrap()
}

async fn until_settled(broker: &BrokerUnderTest, group: &str) {
    eventually("every event is settled", async || (broker.lag.of_group(group).await == 0).then_some(())).await;
}

pub async fn delivers_the_events_that_the_filter_includes(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (join_filtered(broker, "g").await, BackgroundPublisher::default());
    let events = (0..40).map(|number| broker.event(number, &format!("k{}", number % 4)));
    let events = events.map(|event| if event.id.as_u128() % 8 < 4 { wanted(event) } else { event }).collect();
    background.publish(broker, events);
    let mut found = next_numbers(&mut group, 20).await;
    for key in 0..4 {
        assert!(found.iter().filter(|number| *number % 4 == key).is_sorted(), "{found:?}");
    }
    found.sort_unstable();
    assert_eq!(found, (0..40).filter(|number| number % 8 < 4).collect::<Vec<_>>());
    background.done().await;
}

pub async fn preserves_the_order_of_a_key_among_excluded_events(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (join_filtered(broker, "g").await, BackgroundPublisher::default());
    let event = |number| broker.event(number, "rex");
    background.publish(broker, vec![event(1), wanted(event(2)), event(3), wanted(event(4)), wanted(event(5))]);
    next(&mut group).await.nack(Duration::from_millis(50)).await.unwrap();
    assert_eq!(next_numbers(&mut group, 3).await, [2, 4, 5]);
    background.done().await;
}

pub async fn settles_excluded_events_without_a_call_of_next(broker: &BrokerUnderTest) {
    let (group, mut background) = (join_filtered(broker, "g").await, BackgroundPublisher::default());
    let count = broker.in_flight as u128 * 3;
    background.publish(broker, (0..count).map(|number| broker.event(number, &format!("k{number}"))).collect());
    background.done().await;
    until_settled(broker, "g").await;
    drop(group);
}

pub async fn does_not_redeliver_excluded_events(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (join_filtered(broker, "g").await, BackgroundPublisher::default());
    background.publish(broker, vec![broker.event(1, "rex"), wanted(broker.event(2, "rex"))]);
    assert_eq!(next_number(&mut group).await, 2);
    until_settled(broker, "g").await;
    drop(group);
    let mut group = broker.join("g").await;
    background.publish(broker, vec![broker.event(3, "rex")]);
    assert_eq!(next_number(&mut group).await, 3);
    background.done().await;
}

pub async fn settles_excluded_events_at_the_limit_of_deliveries(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (join_filtered(broker, "g").await, BackgroundPublisher::default());
    let count = broker.in_flight as u128;
    let event = |number| broker.event(number, &format!("k{number}"));
    background.publish(broker, (0..count).map(|number| wanted(event(number))).collect());
    let mut deliveries = Vec::new();
    while deliveries.len() < broker.in_flight {
        deliveries.push(next(&mut group).await);
    }
    // In-process, this returns after the group has settled them.
    let mut excluded = BackgroundPublisher::default();
    excluded.publish(broker, (count..count * 3).map(event).collect());
    excluded.done().await;
    for delivery in deliveries {
        delivery.ack().await.unwrap();
    }
    background.done().await;
    until_settled(broker, "g").await;
}

pub async fn a_failing_group_does_not_delay_a_group_with_another_filter(broker: &BrokerUnderTest) {
    let others = EventFilter::names(["tests.happened"]);
    let failing = Group::Shared("failing".to_owned());
    let mut failing = broker.subscriber.subscribe(&broker.topic, &failing, &others).await.unwrap();
    let mut group = join_filtered(broker, "g").await;
    let (mut of_failing, mut background) = (BackgroundPublisher::default(), BackgroundPublisher::default());
    let count = broker.in_flight as u128;
    let event = |number| broker.event(number, &format!("k{number}"));
    of_failing.publish(broker, (0..count).map(event).collect());
    let mut unsettled = Vec::new();
    while unsettled.len() < broker.in_flight {
        unsettled.push(next(&mut failing).await);
    }
    background.publish(broker, (0..count).map(|number| wanted(event(count + number))).collect());
    let mut found = next_numbers(&mut group, broker.in_flight).await;
    found.sort_unstable();
    assert_eq!(found, (count..count * 2).collect::<Vec<_>>());
    background.done().await;
    for delivery in unsettled {
        delivery.ack().await.unwrap();
    }
    of_failing.done().await;
}

pub async fn broadcasts_the_events_that_the_filter_includes(broker: &BrokerUnderTest) {
    let filter = EventFilter::names([WANTED]);
    let mut listener = broker.subscriber.subscribe(&broker.topic, &Group::Broadcast, &filter).await.unwrap();
    let event = |number| broker.event(number, "rex");
    broker.publisher.publish(&[event(1), wanted(event(2)), event(3), wanted(event(4))]).await.unwrap();
    assert_eq!(next_numbers(&mut listener, 2).await, [2, 4]);
}
