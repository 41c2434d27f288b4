//! The port.

use std::collections::HashSet;
use std::sync::Arc;

use kennel_core::RepoError;
use kennel_storage::MigrationState;
use shop_domain::{Item, ItemId};
use tokio::task::JoinSet;

use crate::store::{Store, at, created, item, numbered};

const CONCURRENT_CALLS: usize = 12;

async fn is_read_as_written(store: &Store, item: &Item) {
    store.insert(item).await;
    assert_eq!(store.items.find(item.id).await.unwrap().as_ref(), Some(item));
    assert!(store.all().await.contains(item));
}

pub(crate) async fn an_item_is_read_as_written(store: &Store) {
    for text in ["a", " \ttwo\nlines\n ", "Ŕéx 犬 🐕 O'Hara \"x\" \\n \\ %_ ;--", "null", &"🐕".repeat(2_000)] {
        is_read_as_written(store, &item(text)).await;
    }
}

pub(crate) async fn times_are_stored_to_the_millisecond(store: &Store) {
    for time in ["1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00Z", "2026-02-28T23:59:59.001Z", "2199-12-31T00:00:00Z"]
    {
        is_read_as_written(store, &Item { created_at: time.parse().unwrap(), ..item("a") }).await;
    }
}

pub(crate) async fn an_unknown_id_is_none(store: &Store) {
    store.insert(&item("a")).await;
    assert_eq!(store.items.find(item("b").id).await.unwrap(), None);
}

pub(crate) async fn an_existing_id_is_a_conflict_and_stores_nothing(store: &Store) {
    let first = item("first");
    store.insert(&first).await;
    let second = Item { id: first.id, ..item("second") };
    let again = store.items.insert(&second, &[created(&second)]).await;
    assert!(matches!(again, Err(RepoError::Conflict)), "{again:?}");
    assert_eq!(store.all().await, [first]);
    assert_eq!(store.pending().await, []);
}

pub(crate) async fn an_insert_commits_its_events_in_order(store: &Store) {
    let item = item("a");
    let events = [created(&item), created(&item), created(&item)];
    store.items.insert(&item, &events).await.unwrap();
    assert_eq!(store.all().await, [item]);
    assert_eq!(store.pending().await, events);
}

pub(crate) async fn of_concurrent_inserts_of_one_id_one_succeeds(store: &Store) {
    let id = item("a").id;
    let mut calls = JoinSet::new();
    for number in 0..CONCURRENT_CALLS {
        let (items, item) = (Arc::clone(&store.items), Item { id, ..item(&format!("item {number}")) });
        calls.spawn(async move { items.insert(&item, &[created(&item)]).await.map(|()| item) });
    }
    let (stored, failed): (Vec<_>, Vec<_>) = calls.join_all().await.into_iter().partition(Result::is_ok);
    assert!(failed.iter().all(|result| matches!(result, Err(RepoError::Conflict))), "{failed:?}");
    let stored: Vec<_> = stored.into_iter().flatten().collect();
    assert_eq!(stored.len(), 1);
    assert_eq!(store.all().await, stored);
    assert_eq!(store.pending().await.len(), 1);
}

pub(crate) async fn lists_newest_first(store: &Store) {
    let mut items: Vec<_> = [7, 1, 300, 0x80 << 48, 2].map(numbered).into();
    for item in &items {
        store.insert(item).await;
    }
    items.sort_by_key(|item| std::cmp::Reverse(item.id));
    assert_eq!(store.all().await, items);
    for (index, item) in items.iter().enumerate() {
        assert_eq!(store.items.list(Some(item.id), 1_000).await.unwrap(), items[index + 1..]);
    }
}

pub(crate) async fn a_page_has_at_most_the_limit(store: &Store) {
    for number in 1..=5 {
        store.insert(&numbered(number)).await;
    }
    for (limit, expected) in [(0, 0), (1, 1), (4, 4), (5, 5), (u32::MAX, 5)] {
        assert_eq!(store.items.list(None, limit).await.unwrap().len(), expected);
    }
    assert_eq!(store.items.list(Some(numbered(3).id), 0).await.unwrap(), []);
}

pub(crate) async fn an_empty_store_has_an_empty_page(store: &Store) {
    assert_eq!(store.all().await, []);
    assert_eq!(store.items.list(Some(item("a").id), 10).await.unwrap(), []);
}

pub(crate) async fn pages_miss_and_repeat_nothing_among_inserts(store: &Store) {
    let existing: Vec<_> = (1..=23).map(|number| numbered(number * 1_000)).collect();
    for item in &existing {
        store.insert(item).await;
    }
    let (mut after, mut seen) = (None, Vec::<ItemId>::new());
    for round in 1.. {
        let page = store.items.list(after, 5).await.unwrap();
        seen.extend(page.iter().map(|item| item.id));
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
    assert!(existing.iter().all(|item| once.contains(&item.id)), "missed");
    assert!(seen.is_sorted_by(|a, b| a > b));
}

pub(crate) async fn pages_continue_after_a_deleted_item(store: &Store) {
    let items = [3, 2, 1].map(numbered);
    for item in &items {
        store.insert(item).await;
    }
    assert!(store.items.delete(items[1].id).await.unwrap());
    assert_eq!(store.items.list(Some(items[1].id), 10).await.unwrap(), items[2..]);
}

pub(crate) async fn a_delete_is_true_once_and_leaves_other_items(store: &Store) {
    let (deleted, other) = (item("deleted"), item("other"));
    store.insert(&deleted).await;
    store.insert(&other).await;
    assert!(store.items.delete(deleted.id).await.unwrap());
    assert!(!store.items.delete(deleted.id).await.unwrap());
    assert_eq!(store.items.find(deleted.id).await.unwrap(), None);
    assert_eq!(store.all().await, [other]);
    is_read_as_written(store, &deleted).await;
}

pub(crate) async fn of_concurrent_deletes_one_is_true(store: &Store) {
    let item = item("a");
    store.insert(&item).await;
    let mut calls = JoinSet::new();
    for _ in 0..CONCURRENT_CALLS {
        let (items, id) = (Arc::clone(&store.items), item.id);
        calls.spawn(async move { items.delete(id).await.unwrap() });
    }
    assert_eq!(calls.join_all().await.into_iter().filter(|deleted| *deleted).count(), 1);
    assert_eq!(store.all().await, []);
}

pub(crate) async fn down_reverts_up(store: &Store) {
    let migrator = &store.database.migrator;
    store.insert(&item("lost")).await;
    assert_eq!(migrator.down(1).await.unwrap().len(), 1);
    let states: Vec<_> = migrator.status().await.unwrap().into_iter().map(|step| step.state).collect();
    assert_eq!(states, [MigrationState::Applied { at: at(0) }, MigrationState::Pending]);
    assert!(store.items.list(None, 1).await.is_err(), "without its schema");

    migrator.up(at(1)).await.unwrap();
    assert_eq!(store.all().await, []);
    assert_eq!(migrator.down(u32::MAX).await.unwrap().len(), states.len());
    migrator.up(at(2)).await.unwrap();
    is_read_as_written(store, &item("a")).await;
}
