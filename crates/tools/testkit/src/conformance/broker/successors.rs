//! Several events of one key that are unsettled at once.

use std::time::Duration;

use kennel_core::{Delivery, Subscription};
use tokio::time::{Instant, sleep, timeout};

use super::{BackgroundPublisher, BrokerUnderTest, next, next_number, next_numbers};
use crate::conformance::CASE_TIMEOUT;

/// How long nothing must be delivered.
const QUIET: Duration = Duration::from_millis(100);
const POLL: Duration = Duration::from_millis(5);

fn number(delivery: &Delivery) -> u128 {
    delivery.event.id.as_u128()
}

/// Waits for a successor, which the member may not have received yet.
async fn successor(delivery: &Delivery) -> Delivery {
    let until = Instant::now() + CASE_TIMEOUT;
    loop {
        if let Some(next) = delivery.successor() {
            return next;
        }
        assert!(Instant::now() < until, "a successor arrives");
        sleep(POLL).await;
    }
}

/// Takes `count` events of one key at once.
async fn run(group: &mut Box<dyn Subscription>, count: usize) -> Vec<Delivery> {
    let mut run = vec![next(group).await];
    while run.len() < count {
        let next = successor(run.last().unwrap()).await;
        run.push(next);
    }
    run
}

fn numbers(run: &[Delivery]) -> Vec<u128> {
    run.iter().map(number).collect()
}

async fn assert_quiet(group: &mut Box<dyn Subscription>) {
    assert!(timeout(QUIET, group.next()).await.is_err(), "the key is not settled");
}

fn publish(broker: &BrokerUnderTest, count: u128) -> BackgroundPublisher {
    let mut background = BackgroundPublisher::default();
    background.publish(broker, (1..=count).map(|number| broker.event(number, "rex")).collect());
    background
}

pub async fn delivers_successors_of_an_unsettled_event_in_order(broker: &BrokerUnderTest) {
    let mut group = broker.join("g").await;
    let mut background = publish(broker, 5);
    background.publish(broker, vec![broker.event(9, "bello")]);
    let mut found = Vec::new();
    while found.len() < 6 {
        let first = next(&mut group).await;
        let count = if first.event.key == "rex" { 5 } else { 1 };
        let mut run = vec![first];
        while run.len() < count {
            let next = successor(run.last().unwrap()).await;
            run.push(next);
        }
        assert!(run.last().unwrap().successor().is_none(), "there is no other event of the key");
        assert!(run.first().unwrap().successor().is_none() || count == 1, "it has been delivered");
        for delivery in run {
            found.push(number(&delivery));
            delivery.ack().await.unwrap();
        }
    }
    found.retain(|number| *number != 9);
    assert_eq!(found, [1, 2, 3, 4, 5]);
    background.done().await;
}

pub async fn a_key_waits_until_all_of_its_unsettled_events_are_settled(broker: &BrokerUnderTest) {
    let mut group = broker.join("g").await;
    let background = publish(broker, 5);
    let mut run = run(&mut group, 3).await;
    assert_eq!(numbers(&run), [1, 2, 3]);
    // In any order.
    run.remove(1).ack().await.unwrap();
    run.remove(1).ack().await.unwrap();
    assert_quiet(&mut group).await;
    run.remove(0).ack().await.unwrap();
    assert_eq!(next_numbers(&mut group, 2).await, [4, 5]);
    background.done().await;
}

pub async fn redelivers_a_rejected_event_before_its_rejected_successors(broker: &BrokerUnderTest) {
    let mut group = broker.join("g").await;
    let background = publish(broker, 5);
    let mut taken = run(&mut group, 4).await.into_iter();
    let [first, second, third, fourth] = std::array::from_fn(|_| taken.next().unwrap());
    first.ack().await.unwrap();
    second.nack(Duration::from_millis(50)).await.unwrap();
    assert!(fourth.successor().is_none(), "an earlier event comes again");
    drop(third);
    fourth.ack().await.unwrap();
    assert_eq!(next_numbers(&mut group, 3).await, [2, 3, 5]);
    background.done().await;
}

pub async fn a_dropped_run_is_redelivered_in_order(broker: &BrokerUnderTest) {
    let mut group = broker.join("g").await;
    let background = publish(broker, 4);
    drop(run(&mut group, 3).await);
    assert_eq!(next_numbers(&mut group, 4).await, [1, 2, 3, 4]);
    background.done().await;
}

pub async fn successors_do_not_count_towards_the_limit_of_deliveries(broker: &BrokerUnderTest) {
    let (mut group, mut background) = (broker.join("g").await, BackgroundPublisher::default());
    background.publish(broker, (1..=3).map(|number| broker.event(number, "rex")).collect());
    let first = run(&mut group, 3).await;
    let others = broker.in_flight as u128 - 1;
    background.publish(broker, (10..10 + others).map(|number| broker.event(number, &format!("k{number}"))).collect());
    let mut deliveries = Vec::new();
    while deliveries.len() < broker.in_flight - 1 {
        deliveries.push(next(&mut group).await);
    }
    for delivery in first.into_iter().chain(deliveries) {
        delivery.ack().await.unwrap();
    }
    background.done().await;
}

pub async fn a_successor_can_become_a_dead_letter_alone(broker: &BrokerUnderTest) {
    let mut group = broker.join("g").await;
    let background = publish(broker, 4);
    for delivery in run(&mut group, 3).await {
        if number(&delivery) == 2 {
            delivery.dead_letter("no picture").await.unwrap();
        } else {
            delivery.ack().await.unwrap();
        }
    }
    assert_eq!(next_number(&mut group).await, 4);
    let dead = broker.dead_letters.all().await;
    assert_eq!(dead.iter().map(|dead| dead.event.id.as_u128()).collect::<Vec<_>>(), [2]);
    background.done().await;
}
