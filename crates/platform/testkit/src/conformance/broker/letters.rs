//! That what a group gives up on becomes its dead letter.

use std::time::Duration;

use super::{Beside, Stage, next, next_number};

pub async fn buries_what_is_given_up(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    beside.publish(stage, vec![stage.event(1, "rex")]);
    next(&mut group).await.nack(Duration::ZERO).await.unwrap();
    next(&mut group).await.dead_letter("does not bark").await.unwrap();
    let letters = stage.letters.all().await;
    let [letter] = letters.as_slice() else { panic!("one letter, not {letters:?}") };
    assert_eq!(letter.event, stage.event(1, "rex"));
    assert_eq!((letter.group.as_str(), letter.attempts, letter.reason.as_str()), ("g", 2, "does not bark"));
    beside.done().await;
}

pub async fn goes_on_behind_a_dead_letter(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    beside.publish(stage, vec![stage.event(1, "rex"), stage.event(2, "rex")]);
    next(&mut group).await.dead_letter("bad").await.unwrap();
    assert_eq!(next_number(&mut group).await, 2);
    beside.done().await;
}

pub async fn buries_for_one_group_alone(stage: &Stage) {
    let (mut one, mut other) = (stage.join("one").await, stage.join("other").await);
    let mut beside = Beside::default();
    beside.publish(stage, vec![stage.event(1, "rex")]);
    next(&mut one).await.dead_letter("bad").await.unwrap();
    let delivery = next(&mut other).await;
    assert_eq!(delivery.attempt, 1);
    delivery.ack().await.unwrap();
    assert_eq!(stage.letters.all().await.len(), 1);
    beside.done().await;
}
