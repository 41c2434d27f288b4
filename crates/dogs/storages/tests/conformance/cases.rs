//! The list of cases. Expands to one test for each, so that a failure names store and case.

macro_rules! expand {
    ($setup:path; $($module:ident { $($case:ident)+ })+) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let Some(fresh) = $setup().await else { return };
                crate::$module::$case(&fresh.stores).await;
                fresh.stores.close().await;
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
                keeps_far_times_to_the_millisecond
                keeps_long_and_odd_text
                an_unknown_id_is_none
                refuses_a_taken_id
                an_insert_commits_its_events_in_order
                a_failed_insert_leaves_neither_event_nor_key
                the_same_request_twice_is_replayed
                a_replay_outlives_its_dog
                another_request_under_a_key_is_refused
                of_inserts_with_one_key_at_once_one_is_new
                of_inserts_with_one_id_at_once_one_is_new
                an_update_replaces_every_field
                an_update_can_clear_fields
                an_update_at_another_revision_stores_nothing
                an_update_of_a_missing_dog_is_false
                of_updates_at_once_one_is_true
                an_update_keeps_the_thumbnail_of_its_picture
                a_delete_removes_the_dog_and_tells
                a_delete_at_another_revision_stores_nothing
                of_update_and_delete_at_once_one_is_true
                a_thumbnail_leaves_the_revision
                a_thumbnail_is_recorded_once_for_a_receipt
                of_thumbnails_with_one_receipt_at_once_one_is_recorded
                a_thumbnail_of_another_picture_is_outdated
                a_thumbnail_of_a_missing_dog_is_outdated
                counts_by_breed
                a_purge_forgets_keys_last_used_before
                old_keys_are_forgotten_in_batches
            }
            pages {
                lists_by_id_both_ways
                lists_one_breed_exactly
                a_page_holds_the_limit_at_most
                an_empty_store_has_an_empty_page
                pages_up_miss_and_repeat_nothing_among_inserts
                pages_down_miss_and_repeat_nothing_among_inserts
                pages_go_on_behind_a_deleted_dog
                a_dog_is_listed_under_the_breed_it_has_now
            }
            imports {
                an_import_begins_once
                stores_a_batch_with_one_event
                imported_dogs_are_as_written
                a_batch_dealt_with_stores_nothing
                an_overlap_tells_the_taken_ids_and_leaves_their_dogs
                a_batch_of_taken_ids_tells_no_event
                of_two_rows_with_one_id_the_first_counts
                an_empty_batch_moves_on
                a_failing_event_leaves_nothing
                batches_of_any_size
                of_one_batch_at_once_each_dog_is_stored_once
                imports_do_not_share_their_progress
                a_purge_forgets_imports_last_used_before
                old_imports_are_forgotten_in_batches
            }
            copies {
                copied_dogs_are_as_written
                a_step_taken_again_changes_nothing
                a_newer_revision_replaces_every_field
                an_older_revision_does_not_replace_a_newer
                an_equal_revision_is_replaced
                a_removed_dog_is_gone
                a_removed_dog_comes_back_in_the_same_step
                copied_dogs_are_listed_under_the_breed_they_have_now
                copied_dogs_can_be_changed_as_any_others
                a_copy_tells_no_event
                steps_of_any_size
                finds_all_that_are_there
                a_bookmark_is_kept_for_each_source
            }
            outbox {
                one_holder_has_the_lease
                a_lease_runs_out
                a_lease_too_far_ahead_lasts_no_longer_than_others
                a_lease_too_far_ahead_is_held_while_it_is_renewed
                of_leases_at_once_one_is_given
                a_release_by_another_changes_nothing
                events_come_back_as_written
                pending_is_in_the_order_of_commits
                of_commits_at_once_none_is_missed
                a_published_event_is_pending_no_more
                marking_unknown_or_published_events_changes_nothing
                the_backlog_counts_and_has_the_oldest
                history_is_in_the_order_of_publishing
                history_without_a_place_is_the_latest
                history_behind_an_unknown_event_is_gone
                a_purge_forgets_published_events_receipts_and_attempts
                old_events_and_receipts_are_forgotten_in_batches
                a_purge_of_many_is_complete
                wait_ends_with_a_commit
                a_commit_just_before_the_wait_ends_it
                wait_ends_at_its_timeout
            }
            inbox {
                a_receipt_is_recorded_once
                receipts_are_kept_for_each_group
                of_receipts_at_once_one_is_recorded
                attempts_are_counted_for_each_group_and_event
                of_attempts_at_once_each_is_counted
                what_is_forgotten_begins_anew
            }
            letters {
                a_letter_comes_back_as_buried
                the_latest_attempt_wins
                lists_by_event_in_pages
                a_page_does_not_part_an_event
                a_replay_publishes_again_and_removes_the_letters
                a_reader_at_a_replayed_event_misses_nothing
                a_replay_of_a_waiting_event_does_not_double_it
                a_replay_of_nothing_is_false
                a_discard_removes_for_good
            }
        }
    };
}

pub(crate) use {expand, store_conformance};
