//! The program while a broker is away, while processes are killed, and with events that cannot be dealt with: on every
//! broker the same.

#![expect(unreachable_pub, clippy::unwrap_used, reason = "a test that cannot go on has failed, and nobody reaches in")]

mod clocks;
mod dead_letters;
mod killers;
#[cfg(all(feature = "sqlite", any(feature = "nats", feature = "kafka", feature = "rabbitmq")))]
mod losses;
#[cfg(any(feature = "nats", feature = "kafka", feature = "rabbitmq"))]
mod outages;
mod place;
#[cfg(any(feature = "nats", feature = "kafka", feature = "rabbitmq"))]
mod progress;
#[cfg(feature = "postgres")]
mod read_only;
#[cfg(all(feature = "nats", any(feature = "postgres", feature = "mysql", feature = "clickhouse")))]
mod relays;
mod stores;
#[path = "../support/mod.rs"]
mod support;

use support::home;

/// One module for each broker, one test for each case in it.
macro_rules! brokers {
    ($($(#[$part:meta])* $name:ident($broker:ident) { $($cases:ident :: $case:ident,)+ })+) => { $(
        $(#[$part])*
        mod $name {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    crate::$cases::$case(kennel_broker::Backend::$broker).await;
                }
            )+
        }
    )+ };
}

brokers! {
    #[cfg(feature = "sqlite")]
    memory(Memory) {
        dead_letters::a_letter_is_listed_shown_tried_again_and_dropped,
        dead_letters::a_letter_is_dealt_with_once_its_cause_is_gone,
        killers::an_event_that_ends_the_process_becomes_a_dead_letter_and_the_others_go_through,
        killers::an_event_that_ends_a_process_that_runs_costs_one_attempt_more,
    }
    #[cfg(all(feature = "sqlite", feature = "nats"))]
    nats(Nats) {
        dead_letters::a_letter_is_listed_shown_tried_again_and_dropped,
        dead_letters::a_letter_is_dealt_with_once_its_cause_is_gone,
        killers::an_event_that_ends_the_process_becomes_a_dead_letter_and_the_others_go_through,
        killers::an_event_that_ends_a_process_that_runs_costs_one_attempt_more,
        outages::dogs_are_made_while_the_broker_is_away_and_told_of_in_order_when_it_is_back,
        outages::listeners_miss_nothing_that_others_publish_while_they_are_cut_off,
        progress::events_that_nobody_publishes_are_a_detail_a_metric_and_a_line_of_the_log,
    }
    #[cfg(all(feature = "sqlite", feature = "kafka"))]
    kafka(Kafka) {
        dead_letters::a_letter_is_listed_shown_tried_again_and_dropped,
        dead_letters::a_letter_is_dealt_with_once_its_cause_is_gone,
        killers::an_event_that_ends_the_process_becomes_a_dead_letter_and_the_others_go_through,
        killers::an_event_that_ends_a_process_that_runs_costs_one_attempt_more,
        outages::dogs_are_made_while_the_broker_is_away_and_told_of_in_order_when_it_is_back,
        outages::listeners_miss_nothing_that_others_publish_while_they_are_cut_off,
        progress::events_that_nobody_publishes_are_a_detail_a_metric_and_a_line_of_the_log,
    }
    #[cfg(all(feature = "sqlite", feature = "rabbitmq"))]
    rabbitmq(RabbitMq) {
        dead_letters::a_letter_is_listed_shown_tried_again_and_dropped,
        dead_letters::a_letter_is_dealt_with_once_its_cause_is_gone,
        killers::an_event_that_ends_the_process_becomes_a_dead_letter_and_the_others_go_through,
        killers::an_event_that_ends_a_process_that_runs_costs_one_attempt_more,
        outages::dogs_are_made_while_the_broker_is_away_and_told_of_in_order_when_it_is_back,
        outages::listeners_miss_nothing_that_others_publish_while_they_are_cut_off,
        progress::events_that_nobody_publishes_are_a_detail_a_metric_and_a_line_of_the_log,
    }
}
