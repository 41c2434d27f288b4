//! The list of cases. Expands to one test per store and case, so that a failure names both.

macro_rules! expand {
    ($setup:path; $($module:ident { $($case:ident)+ })+) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let Some(fresh) = $setup().await else { return };
                crate::$module::$case(&fresh.stores).await;
                fresh.stores.database.close().await;
            })+
        })+
    };
}

macro_rules! store_conformance {
    ($setup:path) => {
        crate::cases::expand! { $setup;
            dogs {
                returns_every_field_as_written
                returns_absent_fields_as_absent
                stores_far_times_to_the_millisecond
                stores_long_and_unusual_text
                an_unknown_id_is_none
                rejects_an_existing_id
                an_insert_commits_its_events_in_order
                a_failed_insert_leaves_neither_event_nor_key
                the_same_request_twice_is_replayed
                a_replay_outlives_its_dog
                a_different_request_with_a_key_is_rejected
                of_concurrent_inserts_with_one_key_one_is_new
                of_concurrent_inserts_with_one_id_one_is_new
                an_update_replaces_every_field
                an_update_can_clear_fields
                an_update_at_another_revision_stores_nothing
                an_update_of_a_missing_dog_is_false
                of_concurrent_updates_one_is_true
                an_update_retains_the_thumbnail_of_its_image
                a_delete_removes_the_dog_and_appends_its_events
                a_delete_at_another_revision_stores_nothing
                of_a_concurrent_update_and_delete_one_is_true
                a_thumbnail_does_not_change_the_revision
                a_thumbnail_is_recorded_once_for_a_receipt
                of_concurrent_thumbnails_with_one_receipt_one_is_recorded
                a_thumbnail_of_another_image_is_outdated
                a_thumbnail_of_a_missing_dog_is_outdated
                counts_by_breed
            }
            pages {
                lists_by_id_both_ways
                lists_one_breed_exactly
                a_page_has_at_most_the_limit
                an_empty_store_has_an_empty_page
                pages_up_miss_and_repeat_nothing_among_inserts
                pages_down_miss_and_repeat_nothing_among_inserts
                pages_continue_after_a_deleted_dog
                a_dog_is_listed_under_its_current_breed
            }
            batching {
                concurrent_calls_have_the_results_that_they_have_alone
            }
            imports {
                an_import_starts_once
                stores_a_batch_with_one_event
                imported_dogs_are_read_as_written
                a_processed_batch_stores_nothing
                an_overlap_returns_the_existing_ids_and_leaves_their_dogs
                a_batch_of_existing_ids_appends_no_event
                of_two_rows_with_one_id_the_first_is_stored
                an_empty_batch_advances_the_progress
                a_failing_event_stores_nothing
                batches_of_any_size
                of_concurrent_calls_with_one_batch_each_dog_is_stored_once
                imports_do_not_share_their_progress
            }
            retention {
                a_purge_removes_keys_last_used_before
                old_keys_are_removed_in_batches
                a_purge_removes_imports_last_used_before
                old_imports_are_removed_in_batches
            }
            copies {
                copied_dogs_are_read_as_written
                a_step_applied_again_changes_nothing
                a_newer_revision_replaces_every_field
                an_older_revision_does_not_replace_a_newer
                an_equal_revision_is_replaced
                a_removed_dog_does_not_exist
                a_removed_dog_comes_back_in_the_same_step
                copied_dogs_are_listed_under_their_current_breed
                copied_dogs_can_be_changed_like_others
                a_copy_appends_no_event
                steps_of_any_size
                finds_all_existing_dogs
                a_checkpoint_is_stored_per_source
            }
            outbox {
                one_holder_has_the_lease
                a_lease_expires
                a_lease_that_expires_too_late_lasts_no_longer_than_others
                a_lease_that_expires_too_late_is_valid_while_it_is_renewed
                of_concurrent_leases_one_is_granted
                a_release_by_another_changes_nothing
                events_are_read_as_written
                events_without_a_change_are_appended_in_order
                pending_is_in_the_order_of_commits
                of_concurrent_commits_none_is_missed
                a_published_event_is_no_longer_pending
                marking_unknown_or_published_events_changes_nothing
                the_backlog_counts_and_has_the_oldest
                history_is_in_the_order_of_publishing
                history_without_a_position_is_the_latest
                history_after_an_unknown_event_is_gone
                a_purge_removes_published_events_receipts_and_attempts
                old_events_and_receipts_are_removed_in_batches
                a_purge_of_many_is_complete
                wait_ends_with_a_commit
                a_commit_just_before_the_wait_ends_it
                wait_ends_at_its_timeout
            }
            inbox {
                a_receipt_is_recorded_once
                receipts_are_stored_per_group
                of_concurrent_receipts_one_is_recorded
                receipts_are_recorded_together
                a_batch_of_receipts_is_recorded_completely_or_not_at_all
                of_concurrent_batches_each_receipt_is_new_once
                attempts_are_counted_per_group_and_event
                of_concurrent_attempts_each_is_counted
                attempts_at_several_events_are_counted_together
                of_concurrent_batches_each_attempt_is_counted
                a_forgotten_event_starts_again
            }
            dead_letters {
                a_dead_letter_is_read_as_written
                the_latest_attempt_wins
                lists_by_event_in_pages
                a_page_does_not_split_an_event
                a_replay_publishes_again_and_removes_the_dead_letters
                a_reader_at_a_replayed_event_misses_nothing
                a_replay_of_a_pending_event_does_not_duplicate_it
                a_replay_of_nothing_is_false
                a_discard_removes_for_good
            }
        }
    };
}

pub(crate) use {expand, store_conformance};
