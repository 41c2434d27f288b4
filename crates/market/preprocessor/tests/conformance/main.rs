//! Conformance suite for every store: tests each statement of the port's documentation.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod cases;
mod handling;
mod handover;
mod store;

/// The list of cases.
macro_rules! conformance {
    ($setup:path) => {
        kennel_testkit::cases! { $setup;
            cases {
                a_commit_is_read_as_written
                unknown_instruments_have_nothing
                decimals_are_stored_exactly
                a_change_of_another_version_conflicts_and_stores_nothing
                of_concurrent_changes_of_one_book_one_is_stored
                several_books_are_stored_together
                a_lower_revision_does_not_replace_a_candle
                a_gap_is_read_as_it_is_now
                candles_are_listed_in_the_order_of_time
                many_candles_are_stored_at_once
                books_are_listed_by_venue
                down_reverts_up
            }
            handling {
                trades_become_candles_and_events
                a_batch_of_many_trades_of_an_instrument_is_one_revision
                a_trade_that_is_delivered_again_changes_nothing
                a_trade_in_the_topics_of_both_versions_is_counted_once
                a_trade_that_cannot_be_true_is_refused_and_leaves_a_gap
                members_that_handle_one_instrument_lose_and_double_nothing
            }
            audit {
                an_audit_finds_exactly_what_differs_and_repairs_it
                a_minute_that_its_trades_do_not_explain_stays_as_it_is
                a_repair_completes_every_window_that_missed_a_trade
                only_what_the_venue_can_still_tell_is_compared
                a_venue_that_refuses_requests_is_left_alone
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
