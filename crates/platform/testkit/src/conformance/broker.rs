//! Cases for [`Publisher`] and [`Subscriber`].
//!
//! Publishing may last until the events are settled, so the cases publish beside their consuming.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed case")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::poll;
use kennel_core::{
    DeadLetter, DeadLetterSink, Delivery, Event, Group, Publisher, RepoError, Subscriber, Subscription, Timestamp,
    TraceContext,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::PATIENCE;

/// A broker and where to look for what it did.
pub struct Stage {
    /// Sends.
    pub publisher: Arc<dyn Publisher>,
    /// Receives.
    pub subscriber: Arc<dyn Subscriber>,
    /// Where dead letters are found.
    pub letters: Arc<dyn Letters>,
    /// A topic of this stage's own; the cases use it, and it with something behind.
    pub topic: String,
    /// How many events a subscription may hold.
    pub in_flight: usize,
}

/// Shows dead letters.
#[async_trait]
pub trait Letters: Send + Sync + 'static {
    /// All there are.
    async fn all(&self) -> Vec<DeadLetter>;
}

/// Keeps dead letters in memory, for brokers that need a sink.
#[derive(Default)]
pub struct Graveyard(Mutex<Vec<DeadLetter>>);

#[async_trait]
impl DeadLetterSink for Graveyard {
    async fn bury(&self, letter: &DeadLetter) -> Result<(), RepoError> {
        self.0.lock().unwrap().push(letter.clone());
        Ok(())
    }
}

#[async_trait]
impl Letters for Graveyard {
    async fn all(&self) -> Vec<DeadLetter> {
        self.0.lock().unwrap().clone()
    }
}

/// Expands to one test per case. `$setup` is an `async fn() -> Option<Fresh<Stage>>`; what follows it, such as
/// `start_paused = true`, goes to `#[tokio::test]`.
#[macro_export]
macro_rules! broker_conformance {
    ($setup:path $(, $attribute:ident = $value:expr)*) => {
        $crate::broker_conformance! { @each { $setup } { $($attribute = $value),* }
            delivers_what_was_published
            delivers_every_field
            delivers_large_data
            takes_an_empty_batch
            keeps_the_order_of_a_key
            keeps_the_order_of_each_of_many_keys
            gives_every_group_every_event
            shares_events_among_members
            keeps_topics_apart
            keeps_groups_of_one_name_on_two_topics_apart
            takes_one_batch_for_several_topics
            takes_from_many_publishers_at_once
            gives_a_refused_event_again
            counts_every_attempt
            waits_for_the_delay
            holds_back_a_key_whose_event_is_delayed
            holds_back_a_key_whose_event_is_out
            does_not_hold_back_other_keys
            gives_a_dropped_delivery_again
            hands_a_dropped_subscription_to_the_others
            keeps_the_place_of_a_group_without_members
            does_not_give_a_settled_event_again
            loses_nothing_when_waiting_is_cut_short
            limits_what_a_member_holds
            buries_what_is_given_up
            goes_on_behind_a_dead_letter
            buries_for_one_group_alone
            broadcasts_to_every_subscription
            broadcasts_nothing_from_before
            broadcasts_each_event_once
            broadcasts_beside_groups
            loses_nothing_among_refusals
        }
    };
    (@each { $setup:path } $attributes:tt $($case:ident)+) => {
        $( $crate::broker_conformance! { @case { $setup } $attributes $case } )+
    };
    (@case { $setup:path } { $($attribute:ident = $value:expr),* } $case:ident) => {
        #[tokio::test($($attribute = $value),*)]
        async fn $case() {
            if let Some(fresh) = $setup().await {
                $crate::conformance::broker::$case(&fresh.port).await;
            }
        }
    };
}

/// Publishing that goes on beside a case; it must have succeeded by the end.
#[derive(Default)]
struct Beside(JoinSet<()>);

impl Beside {
    fn publish(&mut self, stage: &Stage, batch: Vec<Event>) {
        let publisher = Arc::clone(&stage.publisher);
        self.0.spawn(async move { publisher.publish(&batch).await.unwrap() });
    }

    async fn done(mut self) {
        while let Some(published) = timeout(PATIENCE, self.0.join_next()).await.expect("publishing ends") {
            published.unwrap();
        }
    }
}

impl Stage {
    fn event(&self, number: u128, key: &str) -> Event {
        Event {
            id: Uuid::from_u128(number),
            name: "tests.happened".to_owned(),
            source: "/tests".to_owned(),
            topic: self.topic.clone(),
            key: key.to_owned(),
            time: Timestamp::from_millis(1_700_000_000_007).unwrap(),
            data: format!(r#"{{"number":{number}}}"#).into(),
            trace: None,
        }
    }

    async fn join(&self, group: &str) -> Box<dyn Subscription> {
        self.subscriber.subscribe(&self.topic, &Group::Shared(group.to_owned())).await.unwrap()
    }

    async fn listen(&self) -> Box<dyn Subscription> {
        self.subscriber.subscribe(&self.topic, &Group::Broadcast).await.unwrap()
    }
}

async fn next(subscription: &mut Box<dyn Subscription>) -> Delivery {
    let next = timeout(PATIENCE, subscription.next()).await.expect("a delivery comes");
    next.expect("the broker is open").unwrap()
}

async fn next_number(subscription: &mut Box<dyn Subscription>) -> u128 {
    let delivery = next(subscription).await;
    let number = delivery.event.id.as_u128();
    delivery.ack().await.unwrap();
    number
}

async fn next_numbers(subscription: &mut Box<dyn Subscription>, count: usize) -> Vec<u128> {
    let mut numbers = Vec::with_capacity(count);
    for _ in 0..count {
        numbers.push(next_number(subscription).await);
    }
    numbers
}

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

pub async fn keeps_topics_apart(stage: &Stage) {
    let (mut group, mut beside) = (stage.join("g").await, Beside::default());
    let elsewhere = Event { topic: format!("{}.other", stage.topic), ..stage.event(1, "rex") };
    beside.publish(stage, vec![elsewhere, stage.event(2, "rex")]);
    assert_eq!(next_number(&mut group).await, 2);
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
