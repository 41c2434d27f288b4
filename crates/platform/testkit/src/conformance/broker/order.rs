//! That the events of a key come in order, and keys do not wait for each other.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Beside, Stage, next, next_number, next_numbers};

pub async fn keeps_the_order_of_a_key(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    beside.publish(stage, (0..100).map(|number| stage.event(number, "rex")).collect());
    assert_eq!(next_numbers(&mut group, 100).await, (0..100).collect::<Vec<_>>());
    beside.done().await;
}

pub async fn keeps_the_order_of_each_of_many_keys(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    beside.publish(stage, (0..120).map(|number| stage.event(number, &format!("k{}", number % 7))).collect());
    let mut by_key = BTreeMap::<_, Vec<_>>::new();
    for number in next_numbers(&mut group, 120).await {
        by_key.entry(number % 7).or_default().push(number);
    }
    assert_eq!(by_key.len(), 7);
    assert!(by_key.values().all(|numbers| numbers.is_sorted()), "{by_key:?}");
    beside.done().await;
}

pub async fn holds_back_a_key_whose_event_is_delayed(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    beside.publish(stage, vec![stage.event(1, "rex"), stage.event(2, "rex")]);
    next(&mut group).await.nack(Duration::from_millis(200)).await.unwrap();
    assert_eq!(next_numbers(&mut group, 2).await, [1, 2]);
    beside.done().await;
}

pub async fn holds_back_a_key_whose_event_is_out(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    beside.publish(stage, vec![stage.event(1, "rex"), stage.event(2, "rex"), stage.event(3, "bello")]);
    let out = next(&mut group).await;
    let (first, then) = if out.event.key == "rex" { (3, 1) } else { (1, 3) };
    assert_eq!(next_number(&mut group).await, first);
    assert_ne!(out.event.id.as_u128(), 2);
    assert_eq!(out.event.id.as_u128(), then);
    out.ack().await.unwrap();
    assert_eq!(next_number(&mut group).await, 2);
    beside.done().await;
}

pub async fn does_not_hold_back_other_keys(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    beside.publish(stage, vec![stage.event(1, "poison")]);
    next(&mut group).await.nack(Duration::from_secs(5)).await.unwrap();
    beside.publish(stage, vec![stage.event(2, "poison"), stage.event(3, "rex"), stage.event(4, "rex")]);
    assert_eq!(next_numbers(&mut group, 4).await, [3, 4, 1, 2]);
    beside.done().await;
}
