//! Conformance suite for every store: tests each statement of the port's documentation, and the service on top of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod service;
mod store;

/// The list of cases.
macro_rules! conformance {
    ($setup:path) => {
        kennel_testkit::cases! { $setup;
            cases {
                a_note_is_read_as_written
                times_are_stored_to_the_millisecond
                an_unknown_id_is_none
                an_existing_id_is_a_conflict_and_stores_nothing
                an_insert_commits_its_events_in_order
                of_concurrent_inserts_of_one_id_one_succeeds
                lists_newest_first
                a_page_has_at_most_the_limit
                an_empty_store_has_an_empty_page
                pages_miss_and_repeat_nothing_among_inserts
                pages_continue_after_a_deleted_note
                a_delete_is_true_once_and_leaves_other_notes
                of_concurrent_deletes_one_is_true
                down_reverts_up
            }
            service {
                a_created_note_is_published_with_its_trace
                the_service_lists_page_by_page
                unknown_notes_are_not_found
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
