//! That broadcast subscriptions get every event from now on.

use std::time::Duration;

use super::{Beside, Stage, next, next_number, next_numbers};

pub async fn broadcasts_to_every_subscription(stage: &Stage) {
    let (mut one, mut other) = (stage.listen().await, stage.listen().await);
    let mut beside = Beside::default();
    beside.publish(stage, vec![stage.event(1, "rex"), stage.event(2, "rex")]);
    assert_eq!(next_numbers(&mut one, 2).await, [1, 2]);
    assert_eq!(next_numbers(&mut other, 2).await, [1, 2]);
    beside.done().await;
}

pub async fn broadcasts_nothing_from_before(stage: &Stage) {
    let mut witness = stage.listen().await;
    stage.publisher.publish(&[stage.event(1, "rex")]).await.unwrap();
    assert_eq!(next_number(&mut witness).await, 1);
    let mut late = stage.listen().await;
    stage.publisher.publish(&[stage.event(2, "rex")]).await.unwrap();
    assert_eq!(next_number(&mut late).await, 2);
}

pub async fn broadcasts_each_event_once(stage: &Stage) {
    let mut listener = stage.listen().await;
    stage.publisher.publish(&[stage.event(1, "rex"), stage.event(2, "rex"), stage.event(3, "rex")]).await.unwrap();
    next(&mut listener).await.nack(Duration::ZERO).await.unwrap();
    drop(next(&mut listener).await);
    assert_eq!(next_number(&mut listener).await, 3);
}

pub async fn broadcasts_beside_groups(stage: &Stage) {
    let (mut listener, mut group) = (stage.listen().await, stage.join("g").await);
    let mut beside = Beside::default();
    beside.publish(stage, vec![stage.event(1, "rex")]);
    assert_eq!(next_number(&mut listener).await, 1, "does not wait for the group");
    assert_eq!(next_number(&mut group).await, 1);
    beside.done().await;
}
