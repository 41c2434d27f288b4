//! That a group gets each event once, shared among its members.

use kennel_core::{Event, Group};
use tokio::time::timeout;

use super::{Beside, Stage, next, next_number, next_numbers};
use crate::conformance::PATIENCE;

pub async fn gives_every_group_every_event(stage: &Stage) {
    let (mut one, mut other) = (stage.join("one").await, stage.join("other").await);
    let mut beside = Beside::default();
    beside.publish(stage, vec![stage.event(1, "rex"), stage.event(2, "rex")]);
    assert_eq!(next_numbers(&mut one, 2).await, [1, 2]);
    assert_eq!(next_numbers(&mut other, 2).await, [1, 2]);
    beside.done().await;
}

pub async fn shares_events_among_members(stage: &Stage) {
    let (mut one, mut other) = (stage.join("g").await, stage.join("g").await);
    let mut beside = Beside::default();
    beside.publish(stage, (0..40).map(|number| stage.event(number, &format!("k{number}"))).collect());
    let mut found = Vec::new();
    while found.len() < 40 {
        let delivery = timeout(PATIENCE, async {
            tokio::select! { d = one.next() => d, d = other.next() => d }
        });
        let delivery = delivery.await.expect("a delivery comes").unwrap().unwrap();
        found.push(delivery.event.id.as_u128());
        delivery.ack().await.unwrap();
    }
    found.sort_unstable();
    assert_eq!(found, (0..40).collect::<Vec<_>>());
    beside.done().await;
}

pub async fn keeps_groups_of_one_name_on_two_topics_apart(stage: &Stage) {
    let topic = format!("{}.other", stage.topic);
    let mut here = stage.join("g").await;
    let mut there = stage.subscriber.subscribe(&topic, &Group::Shared("g".to_owned())).await.unwrap();
    let mut beside = Beside::default();
    beside.publish(stage, vec![stage.event(1, "rex"), Event { topic, ..stage.event(2, "rex") }]);
    assert_eq!(next_number(&mut there).await, 2);
    assert_eq!(next_number(&mut here).await, 1);
    beside.done().await;
}

pub async fn hands_a_dropped_subscription_to_the_others(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    beside.publish(stage, vec![stage.event(1, "rex"), stage.event(2, "rex")]);
    let held = next(&mut group).await;
    let mut other = stage.join("g").await;
    drop(group);
    drop(held);
    assert_eq!(next_numbers(&mut other, 2).await, [1, 2]);
    beside.done().await;
}

pub async fn keeps_the_place_of_a_group_without_members(stage: &Stage) {
    drop(stage.join("g").await);
    let mut beside = Beside::default();
    beside.publish(stage, vec![stage.event(1, "rex")]);
    tokio::task::yield_now().await;
    let mut group = stage.join("g").await;
    assert_eq!(next_number(&mut group).await, 1);
    beside.done().await;
}
