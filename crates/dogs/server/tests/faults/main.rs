//! The program while a broker is away, while processes are killed, and with events that cannot be dealt with: on every
//! broker the same.

#![expect(unreachable_pub, clippy::unwrap_used, reason = "a test that cannot go on has failed, and nobody reaches in")]

mod broker;
mod clocks;
mod dead_letters;
mod killers;
#[cfg(all(feature = "sqlite", any(feature = "nats", feature = "kafka", feature = "rabbitmq")))]
mod losses;
#[cfg(any(feature = "nats", feature = "kafka", feature = "rabbitmq"))]
mod outages;
#[cfg(any(feature = "nats", feature = "kafka", feature = "rabbitmq"))]
mod progress;
#[cfg(feature = "postgres")]
mod read_only;
#[cfg(all(feature = "nats", any(feature = "postgres", feature = "mysql", feature = "clickhouse")))]
mod relays;
mod stores;
#[path = "../support/mod.rs"]
mod support;

use support::service_dir;

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
        dead_letters::a_dead_letter_is_listed_shown_replayed_and_dropped,
        dead_letters::a_dead_letter_is_handled_once_its_cause_is_fixed,
        killers::an_event_that_ends_the_process_becomes_a_dead_letter_and_the_others_go_through,
        killers::an_event_that_ends_a_process_that_runs_costs_one_attempt_more,
    }
    #[cfg(all(feature = "sqlite", feature = "nats"))]
    nats(Nats) {
        dead_letters::a_dead_letter_is_listed_shown_replayed_and_dropped,
        dead_letters::a_dead_letter_is_handled_once_its_cause_is_fixed,
        killers::an_event_that_ends_the_process_becomes_a_dead_letter_and_the_others_go_through,
        killers::an_event_that_ends_a_process_that_runs_costs_one_attempt_more,
        outages::dogs_are_created_during_an_outage_and_published_in_order_afterwards,
        outages::listeners_miss_nothing_that_others_publish_while_they_are_disconnected,
        progress::unpublished_events_are_reported_in_readiness_metrics_and_log,
    }
    #[cfg(all(feature = "sqlite", feature = "kafka"))]
    kafka(Kafka) {
        dead_letters::a_dead_letter_is_listed_shown_replayed_and_dropped,
        dead_letters::a_dead_letter_is_handled_once_its_cause_is_fixed,
        killers::an_event_that_ends_the_process_becomes_a_dead_letter_and_the_others_go_through,
        killers::an_event_that_ends_a_process_that_runs_costs_one_attempt_more,
        outages::dogs_are_created_during_an_outage_and_published_in_order_afterwards,
        outages::listeners_miss_nothing_that_others_publish_while_they_are_disconnected,
        progress::unpublished_events_are_reported_in_readiness_metrics_and_log,
    }
    #[cfg(all(feature = "sqlite", feature = "rabbitmq"))]
    rabbitmq(RabbitMq) {
        dead_letters::a_dead_letter_is_listed_shown_replayed_and_dropped,
        dead_letters::a_dead_letter_is_handled_once_its_cause_is_fixed,
        killers::an_event_that_ends_the_process_becomes_a_dead_letter_and_the_others_go_through,
        killers::an_event_that_ends_a_process_that_runs_costs_one_attempt_more,
        outages::dogs_are_created_during_an_outage_and_published_in_order_afterwards,
        outages::listeners_miss_nothing_that_others_publish_while_they_are_disconnected,
        progress::unpublished_events_are_reported_in_readiness_metrics_and_log,
    }
}
