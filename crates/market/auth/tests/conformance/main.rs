//! Conformance suite for every store: tests each statement of the port's documentation, and the operations on top of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod fixture;
mod keys;
mod sessions;
mod store;

/// The list of cases.
macro_rules! conformance {
    ($setup:path) => {
        kennel_testkit::cases! { $setup;
            cases {
                an_account_is_read_as_written
                a_name_and_an_id_exist_once
                a_change_writes_only_what_it_changes
                some_changes_end_the_sessions
                roles_are_replaced_and_listed_by_name
                a_session_is_read_as_written
                of_concurrent_rotations_one_succeeds
                a_session_that_has_ended_does_not_rotate
                a_session_is_revoked_once
                sessions_are_deleted_after_their_end
                a_new_key_retires_the_others
                a_new_key_can_delete_the_others
                down_reverts_up
            }
            sessions {
                a_user_logs_in_and_any_service_can_verify_the_token
                a_hundred_refreshes_of_one_token_end_in_one_session
                a_refresh_token_that_is_used_again_ends_its_session
                sessions_end_by_themselves_and_by_log_out
                wrong_names_passwords_and_kinds_have_one_answer
                attempts_are_limited
                what_the_service_cannot_check_is_no_failed_attempt
                a_change_of_password_roles_or_state_takes_effect
                a_log_in_during_a_change_that_ends_sessions_leaves_none
                a_hash_follows_the_configured_cost
                the_store_and_the_errors_show_no_secret
            }
            keys {
                old_and_new_keys_are_valid_during_a_rotation
                a_new_key_signs_when_verifiers_can_know_it
                a_leaked_key_is_withdrawn_at_once
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
