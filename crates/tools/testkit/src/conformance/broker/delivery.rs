//! Published events are delivered completely, and only to their topic.

use std::time::Duration;

use futures_util::poll;
use kennel_core::{Event, EventFilter, Group, TraceContext};
use tokio::time::timeout;

use super::{BackgroundPublisher, BrokerUnderTest, next, next_number, next_numbers};
use crate::conformance::CASE_TIMEOUT;

pub async fn delivers_what_was_published(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    background.publish(broker, vec![broker.event(1, "rex")]);
    let delivery = next(&mut group).await;
    assert_eq!((&*delivery.event, delivery.attempt), (&broker.event(1, "rex"), 1));
    delivery.ack().await.unwrap();
    background.done().await;
}

pub async fn delivers_every_field(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned();
    let event = Event {
        key: "h\u{fc}tte \"1\" 100%".to_owned(),
        content_type: "application/json".to_owned(),
        data: r#"{"big":18446744073709551615,"text":"\u0000\n"}"#.into(),
        trace: Some(TraceContext { traceparent, tracestate: Some("a=b".to_owned()) }),
        ..broker.event(u128::MAX, "")
    };
    background.publish(broker, vec![event.clone(), broker.event(2, "")]);
    let mut found = Vec::new();
    for _ in 0..2 {
        let delivery = next(&mut group).await;
        found.push(Event::clone(&delivery.event));
        delivery.ack().await.unwrap();
    }
    assert!(found.contains(&event) && found.contains(&broker.event(2, "")), "{found:?}");
    background.done().await;
}

pub async fn delivers_bytes_of_any_content_type(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    let bytes = |number| Event {
        content_type: "application/protobuf".to_owned(),
        data: (0..=255).collect::<Vec<u8>>().into(),
        ..broker.event(number, "rex")
    };
    let empty = Event { data: Vec::new().into(), ..bytes(2) };
    background.publish(broker, vec![bytes(1), empty.clone()]);
    for event in [bytes(1), empty] {
        let delivery = next(&mut group).await;
        assert_eq!(*delivery.event, event);
        delivery.ack().await.unwrap();
    }
    background.done().await;
}

pub async fn delivers_large_data(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    let event = Event { data: format!("\"{}\"", "x".repeat(200_000)).into(), ..broker.event(1, "rex") };
    background.publish(broker, vec![event.clone()]);
    let delivery = next(&mut group).await;
    assert!(*delivery.event == event);
    delivery.ack().await.unwrap();
    background.done().await;
}

pub async fn accepts_an_empty_batch(broker: &BrokerUnderTest) {
    let _group = broker.join("g").await;
    timeout(CASE_TIMEOUT, broker.publisher.publish(&[])).await.unwrap().unwrap();
}

pub async fn separates_topics(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    let elsewhere = Event { topic: format!("{}.other", broker.topic), ..broker.event(1, "rex") };
    background.publish(broker, vec![elsewhere, broker.event(2, "rex")]);
    assert_eq!(next_number(&mut group).await, 2);
    background.done().await;
}

pub async fn accepts_a_batch_for_several_topics(broker: &BrokerUnderTest) {
    let topics: Vec<_> = (0..3).map(|number| format!("{}.{number}", broker.topic)).collect();
    let mut groups = Vec::new();
    for topic in &topics {
        groups
            .push(broker.subscriber.subscribe(topic, &Group::Shared("g".to_owned()), &EventFilter::All).await.unwrap());
    }
    let on = |(number, topic): (u128, &String)| Event { topic: topic.clone(), ..broker.event(number, "rex") };
    let mut background = BackgroundPublisher::default();
    background.publish(broker, (0..).zip(&topics).map(on).collect());
    for (number, group) in (0..).zip(&mut groups) {
        assert_eq!(next_number(group).await, number);
    }
    background.done().await;
}

pub async fn accepts_concurrent_publishers(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    for publisher in 0..10_u128 {
        let event = |number| broker.event(publisher * 10 + number, &format!("k{publisher}"));
        background.publish(broker, (0..10).map(event).collect());
    }
    let found = next_numbers(&mut group, 100).await;
    for publisher in 0..10 {
        let own: Vec<_> = found.iter().copied().filter(|number| number / 10 == publisher).collect();
        assert_eq!(own, (publisher * 10..publisher * 10 + 10).collect::<Vec<_>>());
    }
    background.done().await;
}

pub async fn loses_nothing_when_next_is_cancelled(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    assert!(poll!(group.next()).is_pending());
    background.publish(broker, (0..20).map(|number| broker.event(number, "rex")).collect());
    let mut found = Vec::new();
    while found.len() < 20 {
        // The timeout cancels `next` at arbitrary await points.
        if let Ok(delivery) = timeout(Duration::from_millis(1), group.next()).await {
            let delivery = delivery.unwrap().unwrap();
            found.push(delivery.event.id.as_u128());
            delivery.ack().await.unwrap();
        }
    }
    assert_eq!(found, (0..20).collect::<Vec<_>>());
    background.done().await;
}

pub async fn limits_deliveries_in_flight(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    let count = broker.in_flight as u128 + 1;
    background.publish(broker, (0..count).map(|number| broker.event(number, &format!("k{number}"))).collect());
    let mut deliveries = Vec::new();
    while deliveries.len() < broker.in_flight {
        deliveries.push(next(&mut group).await);
    }
    assert!(timeout(Duration::from_millis(100), group.next()).await.is_err(), "delivers more than its limit");
    deliveries.pop().unwrap().ack().await.unwrap();
    deliveries.push(next(&mut group).await);
    for delivery in deliveries {
        delivery.ack().await.unwrap();
    }
    background.done().await;
}
