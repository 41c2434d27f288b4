//! Databases on a server: limits, outages, concurrent migrations, and the order of events.

#![cfg(any(feature = "postgres", feature = "mysql"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod events;
mod limits;
mod migrations;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod server;

/// One test per case and server.
macro_rules! expand {
    ($server:ty; $($module:ident { $($case:ident)+ })+) => {
        $(mod $module {
            use super::*;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let home: Option<TestDatabase> = <$server as Server>::home().await;
                if let Some(home) = home {
                    crate::$module::$case::<$server>(&home).await;
                }
            })+
        })+
    };
}

macro_rules! server_cases {
    ($server:ty) => {
        crate::expand! { $server;
            limits {
                connections_are_limited_and_counted
                a_lock_wait_that_is_too_long_is_unavailable
                an_unreachable_server_is_unavailable_until_it_returns
                a_server_that_does_not_respond_is_unavailable_until_it_does
                a_closed_database_is_unavailable
                a_missing_server_is_unavailable
                passwords_are_never_printed
                calls_in_a_deadlock_all_succeed
                a_call_that_is_cancelled_while_its_transaction_begins_leaves_none
                a_dropped_call_leaves_the_connection_usable
            }
            migrations {
                they_can_be_applied_reverted_and_applied_again
                concurrent_processes_apply_each_migration_once
                a_changed_one_is_rejected
                a_newer_database_is_rejected
                a_failed_one_stays_pending_and_can_be_retried
            }
            events {
                a_late_commit_is_neither_missed_nor_history_lost
                events_of_one_row_are_in_the_order_of_its_changes
                readers_of_history_miss_nothing_while_many_mark
                commits_of_another_process_end_a_wait
                of_concurrent_replays_one_is_true
            }
        }
    };
}

use {expand, server_cases};
