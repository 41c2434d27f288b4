//! The inbox.

use std::sync::Arc;

use dogs_storages::Stores;
use kennel_core::Receipt;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::fixtures::{at, id, receipt};

pub(crate) async fn a_receipt_is_recorded_once(stores: &Stores) {
    let once = receipt("g");
    assert!(!stores.database.inbox.seen("g", once.event).await.unwrap());
    assert!(stores.database.inbox.record(&once).await.unwrap());
    assert!(stores.database.inbox.seen("g", once.event).await.unwrap());
    assert!(!stores.database.inbox.record(&Receipt { at: at(9), ..once.clone() }).await.unwrap());
    assert!(!stores.database.inbox.seen("g", id()).await.unwrap());
}

pub(crate) async fn receipts_are_stored_per_group(stores: &Stores) {
    let of_a = receipt("a");
    assert!(stores.database.inbox.record(&of_a).await.unwrap());
    assert!(!stores.database.inbox.seen("b", of_a.event).await.unwrap());
    assert!(stores.database.inbox.record(&Receipt { group: "b".to_owned(), ..of_a.clone() }).await.unwrap());
    assert!(stores.database.inbox.record(&Receipt { group: "A".to_owned(), ..of_a }).await.unwrap());
}

pub(crate) async fn of_concurrent_receipts_one_is_recorded(stores: &Stores) {
    let once = receipt("g");
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let (inbox, once) = (Arc::clone(&stores.database.inbox), once.clone());
        tasks.spawn(async move { inbox.record(&once).await.unwrap() });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|recorded| *recorded).count(), 1);
}

fn receipts(count: usize) -> Vec<Receipt> {
    std::iter::repeat_with(|| receipt("g")).take(count).collect()
}

fn events(receipts: &[Receipt]) -> Vec<Uuid> {
    receipts.iter().map(|receipt| receipt.event).collect()
}

pub(crate) async fn receipts_are_recorded_together(stores: &Stores) {
    let inbox = &stores.database.inbox;
    assert!(inbox.record_all(&[]).await.unwrap().is_empty());
    assert!(inbox.list_seen("g", &[]).await.unwrap().is_empty());
    // More than the rows of one statement.
    let all = receipts(1_201);
    let (known, new) = all.split_at(3);
    assert_eq!(inbox.record_all(known).await.unwrap(), events(known).into_iter().collect());
    let later: Vec<_> = all.iter().map(|receipt| Receipt { at: at(9), ..receipt.clone() }).collect();
    assert_eq!(inbox.record_all(&later).await.unwrap(), events(new).into_iter().collect());
    let mut asked = events(&all);
    asked.push(id());
    assert_eq!(inbox.list_seen("g", &asked).await.unwrap(), events(&all).into_iter().collect());
    assert!(inbox.list_seen("h", &asked).await.unwrap().is_empty());
    // The existing ones are as old as before.
    stores.database.outbox.purge(at(1), 100).await.unwrap();
    assert_eq!(inbox.list_seen("g", &asked).await.unwrap(), events(new).into_iter().collect());
}

pub(crate) async fn a_batch_of_receipts_is_recorded_completely_or_not_at_all(stores: &Stores) {
    let inbox = &stores.database.inbox;
    let mut all = receipts(3);
    // No store has a group with this name: it is too long for MySQL, and no text for PostgreSQL.
    all[1].group = format!("\0{}", "g".repeat(1_000));
    if inbox.record_all(&all).await.is_err() {
        assert!(inbox.list_seen("g", &events(&all)).await.unwrap().is_empty());
    }
}

pub(crate) async fn of_concurrent_batches_each_receipt_is_new_once(stores: &Stores) {
    let all = receipts(60);
    let mut tasks = JoinSet::new();
    for start in 0..8 {
        let (inbox, mut batch) = (Arc::clone(&stores.database.inbox), all.clone());
        batch.rotate_left(start * 7);
        tasks.spawn(async move { inbox.record_all(&batch[..40]).await.unwrap() });
    }
    let mut new: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    new.sort_unstable();
    let mut expected = events(&all);
    expected.sort_unstable();
    assert_eq!(new, expected);
}

pub(crate) async fn attempts_are_counted_per_group_and_event(stores: &Stores) {
    let (event, inbox) = (id(), &stores.database.inbox);
    assert_eq!(inbox.attempts("g", event).await.unwrap(), 0);
    for attempt in 1..=3 {
        assert_eq!(inbox.count_attempt("g", event, at(attempt.into())).await.unwrap(), attempt);
        assert_eq!(inbox.attempts("g", event).await.unwrap(), attempt);
    }
    for (group, event) in [("G", event), ("h", event), ("g", id())] {
        assert_eq!(inbox.attempts(group, event).await.unwrap(), 0, "{group}");
        assert_eq!(inbox.count_attempt(group, event, at(0)).await.unwrap(), 1, "{group}");
    }
    assert!(!inbox.seen("g", event).await.unwrap(), "an attempt is not a receipt");
}

pub(crate) async fn of_concurrent_attempts_each_is_counted(stores: &Stores) {
    let event = id();
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let inbox = Arc::clone(&stores.database.inbox);
        tasks.spawn(async move { inbox.count_attempt("g", event, at(0)).await.unwrap() });
    }
    let mut counts = tasks.join_all().await;
    counts.sort_unstable();
    assert_eq!(counts, [1, 2, 3, 4, 5, 6, 7, 8]);
}

pub(crate) async fn attempts_at_several_events_are_counted_together(stores: &Stores) {
    let inbox = &stores.database.inbox;
    assert!(inbox.count_attempts("g", &[], at(0)).await.unwrap().is_empty());
    let ids: Vec<_> = std::iter::repeat_with(id).take(1_201).collect();
    assert_eq!(inbox.count_attempt("g", ids[0], at(0)).await.unwrap(), 1);
    let counts = inbox.count_attempts("g", &ids, at(1)).await.unwrap();
    assert_eq!(counts.len(), ids.len());
    assert!(ids.iter().all(|id| counts[id] == 1 + u32::from(*id == ids[0])));
    assert_eq!(inbox.list_attempts("g", &ids).await.unwrap(), counts);
    assert!(inbox.list_attempts("h", &ids).await.unwrap().is_empty());
    assert!(inbox.list_attempts("g", &[]).await.unwrap().is_empty());
}

pub(crate) async fn of_concurrent_batches_each_attempt_is_counted(stores: &Stores) {
    let ids: Vec<_> = std::iter::repeat_with(id).take(20).collect();
    let mut tasks = JoinSet::new();
    for start in 0..8 {
        let (inbox, mut batch) = (Arc::clone(&stores.database.inbox), ids.clone());
        batch.rotate_left(start);
        tasks.spawn(async move { inbox.count_attempts("g", &batch, at(0)).await.unwrap() });
    }
    let counts = tasks.join_all().await;
    for id in ids {
        let mut counts: Vec<_> = counts.iter().map(|counts| counts[&id]).collect();
        counts.sort_unstable();
        assert_eq!(counts, [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}

pub(crate) async fn a_forgotten_event_starts_again(stores: &Stores) {
    let (event, other, inbox) = (id(), id(), &stores.database.inbox);
    inbox.forget("g", event).await.unwrap();
    for event in [event, event, other] {
        inbox.count_attempt("g", event, at(5)).await.unwrap();
        inbox.record(&Receipt { group: "g".to_owned(), event, at: at(5) }).await.unwrap();
    }
    inbox.forget("g", event).await.unwrap();
    // A tombstone must not be purged before the record that it deletes.
    stores.database.outbox.purge(at(5), 10).await.unwrap();
    assert_eq!((inbox.attempts("g", event).await.unwrap(), inbox.attempts("g", other).await.unwrap()), (0, 1));
    assert!(!inbox.seen("g", event).await.unwrap());
    assert!(inbox.seen("g", other).await.unwrap());
    assert_eq!(inbox.count_attempt("g", event, at(6)).await.unwrap(), 1);
    assert!(inbox.record(&Receipt { group: "g".to_owned(), event, at: at(6) }).await.unwrap());
}
