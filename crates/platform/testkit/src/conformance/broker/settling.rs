//! That what was not acknowledged comes again, and what was does not.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::{Beside, Stage, next, next_number};

pub async fn gives_a_refused_event_again(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    beside.publish(stage, vec![stage.event(1, "rex")]);
    next(&mut group).await.nack(Duration::ZERO).await.unwrap();
    let again = next(&mut group).await;
    assert_eq!((again.event.clone(), again.attempt), (stage.event(1, "rex"), 2));
    again.ack().await.unwrap();
    beside.done().await;
}

pub async fn counts_every_attempt(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    beside.publish(stage, vec![stage.event(1, "rex")]);
    for attempt in 1..=5 {
        let delivery = next(&mut group).await;
        assert_eq!(delivery.attempt, attempt);
        delivery.nack(Duration::from_millis(1)).await.unwrap();
    }
    next(&mut group).await.ack().await.unwrap();
    beside.done().await;
}

pub async fn waits_for_the_delay(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    beside.publish(stage, vec![stage.event(1, "rex")]);
    let refused = next(&mut group).await;
    let (began, delay) = (Instant::now(), Duration::from_millis(300));
    refused.nack(delay).await.unwrap();
    next(&mut group).await.ack().await.unwrap();
    assert!(began.elapsed() >= delay, "{:?}", began.elapsed());
    beside.done().await;
}

pub async fn gives_a_dropped_delivery_again(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    beside.publish(stage, vec![stage.event(1, "rex"), stage.event(2, "rex")]);
    drop(next(&mut group).await);
    let again = next(&mut group).await;
    assert_eq!((again.event.id.as_u128(), again.attempt), (1, 2));
    again.ack().await.unwrap();
    assert_eq!(next_number(&mut group).await, 2);
    beside.done().await;
}

pub async fn does_not_give_a_settled_event_again(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    beside.publish(stage, vec![stage.event(1, "rex")]);
    assert_eq!(next_number(&mut group).await, 1);
    drop(group);
    let mut group = stage.join("g").await;
    beside.publish(stage, vec![stage.event(2, "rex")]);
    assert_eq!(next_number(&mut group).await, 2);
    beside.done().await;
}

pub async fn loses_nothing_among_refusals(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    beside.publish(stage, (0..500).map(|number| stage.event(number, &format!("k{}", number % 50))).collect());
    let mut found = BTreeSet::new();
    while found.len() < 500 {
        let delivery = next(&mut group).await;
        let number = delivery.event.id.as_u128();
        match (number % 7, delivery.attempt) {
            (0, 1) => delivery.nack(Duration::from_millis(1)).await.unwrap(),
            (1, 1) => drop(delivery),
            _ => {
                assert!(found.insert(number), "{number} came again after it was settled");
                delivery.ack().await.unwrap();
            }
        }
    }
    beside.done().await;
}
