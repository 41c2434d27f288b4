//! The inbox.

use std::sync::Arc;

use dogs_storages::Stores;
use kennel_core::Receipt;
use tokio::task::JoinSet;

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
