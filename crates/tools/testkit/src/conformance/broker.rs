//! Cases for [`Publisher`] and [`Subscriber`].
//!
//! Publishing may last until the events are settled, so the cases publish concurrently with consuming.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the case")]

mod broadcast;
mod dead_letters;
mod delivery;
mod filters;
mod groups;
mod order;
mod settling;
mod successors;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kennel_core::{
    DeadLetter, DeadLetterSink, Delivery, Event, EventFilter, Group, Publisher, RepoError, Subscriber, Subscription,
    Timestamp,
};
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use super::CASE_TIMEOUT;

pub use broadcast::*;
pub use dead_letters::*;
pub use delivery::*;
pub use filters::*;
pub use groups::*;
pub use order::*;
pub use settling::*;
pub use successors::*;

/// A broker and its dead letters.
pub struct BrokerUnderTest {
    /// Publisher of the broker.
    pub publisher: Arc<dyn Publisher>,
    /// Subscriber of the broker.
    pub subscriber: Arc<dyn Subscriber>,
    /// Reads the dead letters.
    pub dead_letters: Arc<dyn DeadLetterReader>,
    /// Reads the lag of groups.
    pub lag: Arc<dyn LagReader>,
    /// A unique topic; the cases use it, and topics with it as a prefix.
    pub topic: String,
    /// Maximum number of keys with unsettled deliveries of a subscription.
    pub in_flight: usize,
}

/// Reads dead letters.
#[async_trait]
pub trait DeadLetterReader: Send + Sync + 'static {
    /// Returns all dead letters.
    async fn all(&self) -> Vec<DeadLetter>;
}

/// Reads the lag of the groups of this process.
#[async_trait]
pub trait LagReader: Send + Sync + 'static {
    /// Returns the number of events that the group has not settled.
    async fn of_group(&self, group: &str) -> u64;
}

/// Stores dead letters in memory, for brokers that need a sink.
#[derive(Default)]
pub struct MemoryDeadLetters(Mutex<Vec<DeadLetter>>);

#[async_trait]
impl DeadLetterSink for MemoryDeadLetters {
    async fn store(&self, dead_letter: &DeadLetter) -> Result<(), RepoError> {
        self.0.lock().unwrap().push(dead_letter.clone());
        Ok(())
    }
}

#[async_trait]
impl DeadLetterReader for MemoryDeadLetters {
    async fn all(&self) -> Vec<DeadLetter> {
        self.0.lock().unwrap().clone()
    }
}

/// Expands to one test per case. `$setup` is an `async fn() -> Option<Fixture<BrokerUnderTest>>`; arguments
/// after it, such as `start_paused = true`, are passed to `#[tokio::test]`.
#[macro_export]
macro_rules! broker_conformance {
    ($setup:path $(, $attribute:ident = $value:expr)*) => {
        $crate::broker_conformance! { @each { $setup } { $($attribute = $value),* }
            delivers_what_was_published
            delivers_every_field
            delivers_bytes_of_any_content_type
            delivers_large_data
            accepts_an_empty_batch
            preserves_the_order_of_a_key
            preserves_the_order_of_many_keys
            delivers_every_event_to_every_group
            distributes_events_among_members
            separates_topics
            separates_groups_of_the_same_name_on_two_topics
            accepts_a_batch_for_several_topics
            accepts_concurrent_publishers
            redelivers_a_nacked_event
            counts_every_attempt
            waits_for_the_nack_delay
            blocks_a_key_while_its_event_is_delayed
            blocks_a_key_while_its_event_is_in_flight
            does_not_block_other_keys
            redelivers_a_dropped_delivery
            reassigns_a_dropped_subscription
            retains_the_position_of_a_group_without_members
            does_not_redeliver_a_settled_event
            loses_nothing_when_next_is_cancelled
            limits_deliveries_in_flight
            stores_dead_letters
            a_dead_letter_has_the_bytes_of_its_event
            continues_after_a_dead_letter
            a_dead_letter_affects_only_its_group
            broadcasts_to_every_subscription
            broadcasts_no_earlier_events
            broadcasts_each_event_once
            broadcasts_independently_of_groups
            loses_nothing_among_nacks
            delivers_successors_of_an_unsettled_event_in_order
            a_key_waits_until_all_of_its_unsettled_events_are_settled
            redelivers_a_rejected_event_before_its_rejected_successors
            a_dropped_run_is_redelivered_in_order
            successors_do_not_count_towards_the_limit_of_deliveries
            a_successor_can_become_a_dead_letter_alone
            delivers_the_events_that_the_filter_includes
            preserves_the_order_of_a_key_among_excluded_events
            settles_excluded_events_without_a_call_of_next
            does_not_redeliver_excluded_events
            settles_excluded_events_at_the_limit_of_deliveries
            a_failing_group_does_not_delay_a_group_with_another_filter
            broadcasts_the_events_that_the_filter_includes
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

/// Publishes in the background of a case; it must have succeeded at the end.
#[derive(Default)]
struct BackgroundPublisher(JoinSet<()>);

impl BackgroundPublisher {
    fn publish(&mut self, broker: &BrokerUnderTest, batch: Vec<Event>) {
        let publisher = Arc::clone(&broker.publisher);
        self.0.spawn(async move { publisher.publish(&batch).await.unwrap() });
    }

    async fn done(mut self) {
        while let Some(published) = timeout(CASE_TIMEOUT, self.0.join_next()).await.expect("publishing completes") {
            published.unwrap();
        }
    }
}

impl BrokerUnderTest {
    fn event(&self, number: u128, key: &str) -> Event {
        Event {
            id: Uuid::from_u128(number),
            name: "tests.happened".to_owned(),
            source: "/tests".to_owned(),
            topic: self.topic.clone(),
            key: key.to_owned(),
            time: Timestamp::from_millis(1_700_000_000_007).unwrap(),
            content_type: "application/json".to_owned(),
            data: format!(r#"{{"number":{number}}}"#).into(),
            trace: None,
        }
    }

    async fn join(&self, group: &str) -> Box<dyn Subscription> {
        self.subscriber.subscribe(&self.topic, &Group::Shared(group.to_owned()), &EventFilter::All).await.unwrap()
    }

    async fn listen(&self) -> Box<dyn Subscription> {
        self.subscriber.subscribe(&self.topic, &Group::Broadcast, &EventFilter::All).await.unwrap()
    }
}

async fn next(subscription: &mut Box<dyn Subscription>) -> Delivery {
    let next = timeout(CASE_TIMEOUT, subscription.next()).await.expect("a delivery arrives");
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
