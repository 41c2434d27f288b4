//! Conformance suite for every store: tests each statement of the port's documentation, and the use cases on top of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lists;
mod service;
mod settlements;
mod store;
mod upserts;

/// The list of cases.
macro_rules! conformance {
    ($setup:path) => {
        kennel_testkit::cases! { $setup;
            upserts {
                a_gif_is_read_as_written
                a_gif_without_what_is_optional_is_read_as_written
                every_provider_and_rating_is_read_as_written
                times_are_stored_to_the_millisecond
                long_details_are_read_as_written
                keys_and_ids_that_are_not_stored_have_no_gif
                keys_that_are_stored_are_found_among_others
                an_empty_upsert_does_nothing
                a_page_is_stored_and_returned_in_its_order
                a_full_page_with_many_words_is_stored
                a_new_gif_is_stored_with_its_event
                the_events_of_a_page_are_all_stored
                an_existing_gif_retains_what_identifies_it
                other_details_replace_the_stored_ones
                equal_details_change_nothing
                an_event_for_another_id_of_a_stored_gif_is_not_appended
                a_known_gif_is_fetched_once
                an_upsert_moves_no_state_back
                of_concurrent_upserts_of_one_gif_one_is_stored
                concurrent_pages_that_overlap_store_each_gif_once
                of_concurrent_moves_to_fetching_one_has_an_event
                concurrent_changes_of_details_leave_one_of_them_with_its_words
                down_reverts_up
            }
            settlements {
                a_final_state_is_recorded_with_its_event
                every_refusal_is_read_as_written
                a_known_gif_can_be_settled
                a_receipt_takes_effect_once
                a_final_state_does_not_change
                an_unknown_gif_leaves_only_a_receipt
                of_concurrent_deliveries_of_one_event_one_changes_the_state
                of_concurrent_final_states_one_is_recorded
                a_state_stays_final_while_the_gif_is_found_again
                receipts_of_two_groups_are_independent
            }
            lists {
                lists_newest_first
                a_page_has_at_most_the_limit
                an_empty_store_has_an_empty_page
                pages_miss_and_repeat_nothing_among_inserts
                a_state_selects_its_gifs
                a_rating_includes_the_lower_ones
                a_gif_is_found_by_all_of_its_words
                words_of_any_script_are_found_exactly
                words_are_found_page_by_page
                every_condition_of_a_query_applies
            }
            service {
                what_is_found_is_stored_and_published
                what_is_found_again_is_not_published_again
                what_has_changed_is_stored_again
                gifs_of_a_provider_that_forbids_it_are_only_known
                the_next_provider_is_asked_if_one_fails
                an_empty_page_is_an_answer
                a_later_page_is_at_the_provider_of_the_first
                without_providers_the_catalogue_is_searched
                what_the_catalogue_does_not_have_is_unavailable
                a_random_gif_is_one_of_those_found
                what_media_reports_is_recorded_once
                the_catalogue_is_listed_page_by_page
                unknown_gifs_are_not_found
            }
        }
    };
}

#[cfg(feature = "sqlite")]
mod sqlite {
    //! SQLite.
    conformance!(crate::store::sqlite);
}

#[cfg(feature = "postgres")]
mod postgres {
    //! A real `PostgreSQL`, a database per case.
    conformance!(crate::store::postgres);
}

#[cfg(feature = "mysql")]
mod mysql {
    //! A real MySQL or `MariaDB`, a database per case.
    conformance!(crate::store::mysql);
}

#[cfg(feature = "clickhouse")]
mod clickhouse {
    //! A real ClickHouse, a database per case.
    conformance!(crate::store::clickhouse);
}
