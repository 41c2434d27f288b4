//! The port.

use std::collections::HashSet;
use std::sync::Arc;

use kennel_core::RepoError;
use kennel_storage::MigrationState;
use notes::domain::{Note, NoteId};
use tokio::task::JoinSet;

use crate::store::{Store, at, created, note, numbered};

const CONCURRENT_CALLS: usize = 12;

async fn is_read_as_written(store: &Store, note: &Note) {
    store.insert(note).await;
    assert_eq!(store.notes.find(note.id).await.unwrap().as_ref(), Some(note));
    assert!(store.all().await.contains(note));
}

pub(crate) async fn a_note_is_read_as_written(store: &Store) {
    for text in ["a", " \ttwo\nlines\n ", "Ŕéx 犬 🐕 O'Hara \"x\" \\n \\ %_ ;--", "null", &"🐕".repeat(2_000)] {
        is_read_as_written(store, &note(text)).await;
    }
}

pub(crate) async fn times_are_stored_to_the_millisecond(store: &Store) {
    for time in ["1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00Z", "2026-02-28T23:59:59.001Z", "2199-12-31T00:00:00Z"]
    {
        is_read_as_written(store, &Note { created_at: time.parse().unwrap(), ..note("a") }).await;
    }
}

pub(crate) async fn an_unknown_id_is_none(store: &Store) {
    store.insert(&note("a")).await;
    assert_eq!(store.notes.find(note("b").id).await.unwrap(), None);
}

pub(crate) async fn an_existing_id_is_a_conflict_and_stores_nothing(store: &Store) {
    let first = note("first");
    store.insert(&first).await;
    let second = Note { id: first.id, ..note("second") };
    let again = store.notes.insert(&second, &[created(&second)]).await;
    assert!(matches!(again, Err(RepoError::Conflict)), "{again:?}");
    assert_eq!(store.all().await, [first]);
    assert_eq!(store.pending().await, []);
}

pub(crate) async fn an_insert_commits_its_events_in_order(store: &Store) {
    let note = note("a");
    let events = [created(&note), created(&note), created(&note)];
    store.notes.insert(&note, &events).await.unwrap();
    assert_eq!(store.all().await, [note]);
    assert_eq!(store.pending().await, events);
}

pub(crate) async fn of_concurrent_inserts_of_one_id_one_succeeds(store: &Store) {
    let id = note("a").id;
    let mut calls = JoinSet::new();
    for number in 0..CONCURRENT_CALLS {
        let (notes, note) = (Arc::clone(&store.notes), Note { id, ..note(&format!("note {number}")) });
        calls.spawn(async move { notes.insert(&note, &[created(&note)]).await.map(|()| note) });
    }
    let (stored, failed): (Vec<_>, Vec<_>) = calls.join_all().await.into_iter().partition(Result::is_ok);
    assert!(failed.iter().all(|result| matches!(result, Err(RepoError::Conflict))), "{failed:?}");
    let stored: Vec<_> = stored.into_iter().flatten().collect();
    assert_eq!(stored.len(), 1);
    assert_eq!(store.all().await, stored);
    assert_eq!(store.pending().await.len(), 1);
}

pub(crate) async fn lists_newest_first(store: &Store) {
    let mut notes: Vec<_> = [7, 1, 300, 0x80 << 48, 2].map(numbered).into();
    for note in &notes {
        store.insert(note).await;
    }
    notes.sort_by_key(|note| std::cmp::Reverse(note.id));
    assert_eq!(store.all().await, notes);
    for (index, note) in notes.iter().enumerate() {
        assert_eq!(store.notes.list(Some(note.id), 1_000).await.unwrap(), notes[index + 1..]);
    }
}

pub(crate) async fn a_page_has_at_most_the_limit(store: &Store) {
    for number in 1..=5 {
        store.insert(&numbered(number)).await;
    }
    for (limit, expected) in [(0, 0), (1, 1), (4, 4), (5, 5), (u32::MAX, 5)] {
        assert_eq!(store.notes.list(None, limit).await.unwrap().len(), expected);
    }
    assert_eq!(store.notes.list(Some(numbered(3).id), 0).await.unwrap(), []);
}

pub(crate) async fn an_empty_store_has_an_empty_page(store: &Store) {
    assert_eq!(store.all().await, []);
    assert_eq!(store.notes.list(Some(note("a").id), 10).await.unwrap(), []);
}

pub(crate) async fn pages_miss_and_repeat_nothing_among_inserts(store: &Store) {
    let existing: Vec<_> = (1..=23).map(|number| numbered(number * 1_000)).collect();
    for note in &existing {
        store.insert(note).await;
    }
    let (mut after, mut seen) = (None, Vec::<NoteId>::new());
    for round in 1.. {
        let page = store.notes.list(after, 5).await.unwrap();
        seen.extend(page.iter().map(|note| note.id));
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        if round <= 10 {
            for base in [0, 11_000, 24_000] {
                store.insert(&numbered(base + round)).await;
            }
        }
    }
    let once: HashSet<_> = seen.iter().collect();
    assert_eq!(once.len(), seen.len(), "repeated");
    assert!(existing.iter().all(|note| once.contains(&note.id)), "missed");
    assert!(seen.is_sorted_by(|a, b| a > b));
}

pub(crate) async fn pages_continue_after_a_deleted_note(store: &Store) {
    let notes = [3, 2, 1].map(numbered);
    for note in &notes {
        store.insert(note).await;
    }
    assert!(store.notes.delete(notes[1].id).await.unwrap());
    assert_eq!(store.notes.list(Some(notes[1].id), 10).await.unwrap(), notes[2..]);
}

pub(crate) async fn a_delete_is_true_once_and_leaves_other_notes(store: &Store) {
    let (deleted, other) = (note("deleted"), note("other"));
    store.insert(&deleted).await;
    store.insert(&other).await;
    assert!(store.notes.delete(deleted.id).await.unwrap());
    assert!(!store.notes.delete(deleted.id).await.unwrap());
    assert_eq!(store.notes.find(deleted.id).await.unwrap(), None);
    assert_eq!(store.all().await, [other]);
    is_read_as_written(store, &deleted).await;
}

pub(crate) async fn of_concurrent_deletes_one_is_true(store: &Store) {
    let note = note("a");
    store.insert(&note).await;
    let mut calls = JoinSet::new();
    for _ in 0..CONCURRENT_CALLS {
        let (notes, id) = (Arc::clone(&store.notes), note.id);
        calls.spawn(async move { notes.delete(id).await.unwrap() });
    }
    assert_eq!(calls.join_all().await.into_iter().filter(|deleted| *deleted).count(), 1);
    assert_eq!(store.all().await, []);
}

pub(crate) async fn down_reverts_up(store: &Store) {
    let migrator = &store.database.migrator;
    store.insert(&note("lost")).await;
    assert_eq!(migrator.down(1).await.unwrap().len(), 1);
    let states: Vec<_> = migrator.status().await.unwrap().into_iter().map(|step| step.state).collect();
    assert_eq!(states, [MigrationState::Applied { at: at(0) }, MigrationState::Pending]);
    assert!(store.notes.list(None, 1).await.is_err(), "without its schema");

    migrator.up(at(1)).await.unwrap();
    assert_eq!(store.all().await, []);
    assert_eq!(migrator.down(u32::MAX).await.unwrap().len(), states.len());
    migrator.up(at(2)).await.unwrap();
    is_read_as_written(store, &note("a")).await;
}
