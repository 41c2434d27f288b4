//! Conformance suite for every store: tests each statement of the port's documentation.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod store;

/// The list of cases.
macro_rules! conformance {
    ($setup:path) => {
        kennel_testkit::cases! { $setup;
            cases {
                what_was_settled_is_read_as_written
                unknown_gifs_and_blobs_are_none
                texts_and_numbers_are_stored_exactly
                settling_commits_the_answer_and_the_receipt
                an_outcome_never_changes
                an_event_that_was_seen_stores_nothing
                of_concurrent_settlements_of_one_gif_one_is_recorded
                of_concurrent_deliveries_of_one_event_one_is_recorded
                a_blob_of_several_gifs_is_stored_once
                gifs_with_the_same_bytes_settle_at_once
                an_answer_is_stored_once_for_an_event
                lists_by_hash_in_pages
                lists_outcomes_from_the_newest_gif_in_pages
                urls_are_those_of_the_blob
                down_reverts_up
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
