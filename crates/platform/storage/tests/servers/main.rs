//! Databases on a server: limits, outages, migrations of many processes at once, and the order of events.

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

/// One test for each case and server.
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
                a_lock_that_is_held_too_long_is_unavailable
                a_server_that_goes_away_is_unavailable_until_it_is_back
                a_server_that_falls_silent_is_unavailable_until_it_answers
                a_closed_database_is_unavailable
                a_server_that_is_not_there_is_unavailable
                passwords_are_never_shown
                calls_in_a_deadlock_all_come_through
                a_dropped_call_leaves_the_connection_usable
            }
            migrations {
                they_go_up_down_and_up
                of_many_at_once_each_step_is_applied_once
                a_changed_one_is_refused
                a_newer_database_is_refused
                a_failed_one_stays_pending_and_can_be_repeated
            }
            events {
                a_late_commit_is_neither_missed_nor_history_lost
                changes_of_one_row_are_told_in_their_order
                readers_of_history_miss_nothing_while_many_mark
                another_processes_commits_end_a_wait
                of_replays_at_once_one_is_true
            }
        }
    };
}

use {expand, server_cases};
