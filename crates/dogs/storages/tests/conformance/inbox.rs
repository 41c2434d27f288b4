//! The inbox.

use std::sync::Arc;

use dogs_storages::Stores;
use kennel_core::Receipt;
use tokio::task::JoinSet;

use crate::fixtures::{at, id, receipt};

pub(crate) async fn a_receipt_is_recorded_once(stores: &Stores) {
    let once = receipt("g");
    assert!(!stores.inbox.seen("g", once.event).await.unwrap());
    assert!(stores.inbox.record(&once).await.unwrap());
    assert!(stores.inbox.seen("g", once.event).await.unwrap());
    assert!(!stores.inbox.record(&Receipt { at: at(9), ..once.clone() }).await.unwrap());
    assert!(!stores.inbox.seen("g", id()).await.unwrap());
}

pub(crate) async fn receipts_are_kept_for_each_group(stores: &Stores) {
    let of_a = receipt("a");
    assert!(stores.inbox.record(&of_a).await.unwrap());
    assert!(!stores.inbox.seen("b", of_a.event).await.unwrap());
    assert!(stores.inbox.record(&Receipt { group: "b".to_owned(), ..of_a.clone() }).await.unwrap());
    assert!(stores.inbox.record(&Receipt { group: "A".to_owned(), ..of_a }).await.unwrap());
}

pub(crate) async fn of_receipts_at_once_one_is_recorded(stores: &Stores) {
    let once = receipt("g");
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let (inbox, once) = (Arc::clone(&stores.inbox), once.clone());
        tasks.spawn(async move { inbox.record(&once).await.unwrap() });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|recorded| *recorded).count(), 1);
}
