//! That what is published comes, whole, and to whom it is meant.

use std::time::Duration;

use futures_util::poll;
use kennel_core::{Event, Group, TraceContext};
use tokio::time::timeout;

use super::{Beside, Stage, next, next_number, next_numbers};
use crate::conformance::PATIENCE;

pub async fn delivers_what_was_published(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    beside.publish(stage, vec![stage.event(1, "rex")]);
    let delivery = next(&mut group).await;
    assert_eq!((delivery.event.clone(), delivery.attempt), (stage.event(1, "rex"), 1));
    delivery.ack().await.unwrap();
    beside.done().await;
}

pub async fn delivers_every_field(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned();
    let event = Event {
        key: "h\u{fc}tte \"1\" 100%".to_owned(),
        data: r#"{"big":18446744073709551615,"text":"\u0000\n"}"#.into(),
        trace: Some(TraceContext { traceparent, tracestate: Some("a=b".to_owned()) }),
        ..stage.event(u128::MAX, "")
    };
    beside.publish(stage, vec![event.clone(), stage.event(2, "")]);
    let mut found = Vec::new();
    for _ in 0..2 {
        let delivery = next(&mut group).await;
        found.push(delivery.event.clone());
        delivery.ack().await.unwrap();
    }
    assert!(found.contains(&event) && found.contains(&stage.event(2, "")), "{found:?}");
    beside.done().await;
}

pub async fn delivers_large_data(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    let event = Event { data: format!("\"{}\"", "x".repeat(200_000)).into(), ..stage.event(1, "rex") };
    beside.publish(stage, vec![event.clone()]);
    let delivery = next(&mut group).await;
    assert!(delivery.event == event);
    delivery.ack().await.unwrap();
    beside.done().await;
}

pub async fn takes_an_empty_batch(stage: &Stage) {
    let _group = stage.join("g").await;
    timeout(PATIENCE, stage.publisher.publish(&[])).await.unwrap().unwrap();
}

pub async fn keeps_topics_apart(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    let elsewhere = Event { topic: format!("{}.other", stage.topic), ..stage.event(1, "rex") };
    beside.publish(stage, vec![elsewhere, stage.event(2, "rex")]);
    assert_eq!(next_number(&mut group).await, 2);
    beside.done().await;
}

pub async fn takes_one_batch_for_several_topics(stage: &Stage) {
    let topics: Vec<_> = (0..3).map(|number| format!("{}.{number}", stage.topic)).collect();
    let mut groups = Vec::new();
    for topic in &topics {
        groups.push(stage.subscriber.subscribe(topic, &Group::Shared("g".to_owned())).await.unwrap());
    }
    let on = |(number, topic): (u128, &String)| Event { topic: topic.clone(), ..stage.event(number, "rex") };
    let mut beside = Beside::default();
    beside.publish(stage, (0..).zip(&topics).map(on).collect());
    for (number, group) in (0..).zip(&mut groups) {
        assert_eq!(next_number(group).await, number);
    }
    beside.done().await;
}

pub async fn takes_from_many_publishers_at_once(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    for publisher in 0..10_u128 {
        let event = |number| stage.event(publisher * 10 + number, &format!("k{publisher}"));
        beside.publish(stage, (0..10).map(event).collect());
    }
    let found = next_numbers(&mut group, 100).await;
    for publisher in 0..10 {
        let own: Vec<_> = found.iter().copied().filter(|number| number / 10 == publisher).collect();
        assert_eq!(own, (publisher * 10..publisher * 10 + 10).collect::<Vec<_>>());
    }
    beside.done().await;
}

pub async fn loses_nothing_when_waiting_is_cut_short(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    assert!(poll!(group.next()).is_pending());
    beside.publish(stage, (0..20).map(|number| stage.event(number, "rex")).collect());
    let mut found = Vec::new();
    while found.len() < 20 {
        // Cut short at every point where it waits.
        if let Ok(delivery) = timeout(Duration::from_millis(1), group.next()).await {
            let delivery = delivery.unwrap().unwrap();
            found.push(delivery.event.id.as_u128());
            delivery.ack().await.unwrap();
        }
    }
    assert_eq!(found, (0..20).collect::<Vec<_>>());
    beside.done().await;
}

pub async fn limits_what_a_member_holds(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    let count = stage.in_flight as u128 + 1;
    beside.publish(stage, (0..count).map(|number| stage.event(number, &format!("k{number}"))).collect());
    let mut held = Vec::new();
    while held.len() < stage.in_flight {
        held.push(next(&mut group).await);
    }
    assert!(timeout(Duration::from_millis(100), group.next()).await.is_err(), "holds more than its limit");
    held.pop().unwrap().ack().await.unwrap();
    held.push(next(&mut group).await);
    for delivery in held {
        delivery.ack().await.unwrap();
    }
    beside.done().await;
}
