//! Consumers and feeds on every broker, with a real store: from the outbox through the broker to a handler.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod batches;
mod events;
mod feeds;
mod fixture;
mod runs;

/// The list of cases.
macro_rules! consumer_conformance {
    ($setup:path) => {
        kennel_testkit::cases! { $setup;
            events {
                a_protobuf_event_passes_from_the_outbox_to_a_handler
                a_protobuf_event_is_replayed_from_the_dead_letters
                two_events_with_one_derived_id_have_one_effect
                events_that_the_handler_excludes_are_settled
            }
            batches {
                a_batch_is_handled_in_the_order_of_each_key
                a_failing_event_becomes_a_dead_letter_and_its_neighbours_are_settled
                after_a_batch_fails_its_other_events_are_settled
                a_batch_that_ends_before_its_receipts_has_one_effect
                a_batch_that_ends_after_its_receipts_is_not_handled_again
            }
            runs {
                several_events_of_a_key_are_one_batch_in_order
                a_poisoned_event_becomes_a_dead_letter_alone
                what_follows_a_retried_event_waits_for_it
                after_a_batch_fails_a_key_is_handled_in_order
                a_handler_that_recognizes_duplicates_has_no_receipts
            }
            feeds {
                a_feed_without_an_outbox_resumes_from_memory
                a_feed_without_an_outbox_resets_a_client_that_it_does_not_know
            }
        }
    };
}
use consumer_conformance;

mod memory {
    crate::consumer_conformance!(crate::fixture::memory);
}

#[cfg(feature = "nats")]
mod nats {
    crate::consumer_conformance!(crate::fixture::nats);
}

#[cfg(feature = "kafka")]
mod kafka {
    crate::consumer_conformance!(crate::fixture::kafka);
}

#[cfg(feature = "rabbitmq")]
mod rabbitmq {
    crate::consumer_conformance!(crate::fixture::rabbitmq);
}
