//! Cases for [`Publisher`] and [`Subscriber`].
//!
//! Publishing may last until the events are settled, so the cases publish beside their consuming.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed case")]

mod broadcast;
mod delivery;
mod groups;
mod letters;
mod order;
mod settling;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kennel_core::{
    DeadLetter, DeadLetterSink, Delivery, Event, Group, Publisher, RepoError, Subscriber, Subscription, Timestamp,
};
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use super::PATIENCE;

pub use broadcast::*;
pub use delivery::*;
pub use groups::*;
pub use letters::*;
pub use order::*;
pub use settling::*;

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
    async fn store(&self, letter: &DeadLetter) -> Result<(), RepoError> {
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
