//! The port.

use std::sync::Arc;

use gifs_contracts::{GifId, Refusal};
use gifs_domain::media::{Blob, Outcome, Settling, Verdict};
use kennel_core::{IdSource as _, RepoError, UuidV7};
use kennel_storage::MigrationState;
use tokio::task::JoinSet;

use crate::store::{Store, answer, at, blob, hash, outcome, receipt, refused};

const CONCURRENT_CALLS: usize = 12;

pub(crate) async fn what_was_settled_is_read_as_written(store: &Store) {
    let blob = blob(&hash(1));
    let stored = store.stored(&blob).await;
    let refused = refused();
    store.settle(&refused, None).await.unwrap();
    for outcome in [stored, refused] {
        assert_eq!(store.blobs.outcome(outcome.id).await.unwrap(), Some(outcome));
    }
    assert_eq!(store.blobs.find(&blob.sha256).await.unwrap(), Some(blob));
}

pub(crate) async fn unknown_gifs_and_blobs_are_none(store: &Store) {
    store.stored(&blob(&hash(1))).await;
    assert_eq!(store.blobs.outcome(GifId(UuidV7.next())).await.unwrap(), None);
    assert_eq!(store.blobs.find(&hash(2)).await.unwrap(), None);
    assert_eq!(store.blobs.urls(&hash(2), 10).await.unwrap(), [""; 0]);
}

pub(crate) async fn texts_and_numbers_are_stored_exactly(store: &Store) {
    for (number, text) in [(1, "O'Hara \"x\" \\n \\ %_ ;--"), (2, "Ŕéx 犬 🐕"), (3, &"ü".repeat(500))] {
        let refusal = Refusal::ALL[number];
        let verdict = Verdict::Refused { refusal, detail: Some(text.to_owned()) };
        let refused = Outcome { url: format!("https://media.example/?q={text}"), ..outcome(verdict) };
        store.settle(&refused, None).await.unwrap();
        assert_eq!(store.blobs.outcome(refused.id).await.unwrap(), Some(refused));
    }
    let without = outcome(Verdict::Refused { refusal: Refusal::Gone, detail: None });
    store.settle(&without, None).await.unwrap();
    assert_eq!(store.blobs.outcome(without.id).await.unwrap(), Some(without));
    let extreme =
        Blob { frames: u32::MAX, duration_ms: u64::MAX, plays: u32::MAX, defects: Vec::new(), ..blob(&hash(9)) };
    store.stored(&extreme).await;
    assert_eq!(store.blobs.find(&extreme.sha256).await.unwrap(), Some(extreme));
}

pub(crate) async fn settling_commits_the_answer_and_the_receipt(store: &Store) {
    let (refused, receipt) = (refused(), receipt());
    let answer = answer(refused.id);
    assert_eq!(store.blobs.settle(&refused, None, &answer, &receipt).await.unwrap(), Settling::Recorded);
    assert_eq!(store.pending().await, [answer]);
    assert!(store.database.inbox.seen(&receipt.group, receipt.event).await.unwrap());
}

pub(crate) async fn an_outcome_never_changes(store: &Store) {
    let first = store.stored(&blob(&hash(1))).await;
    let second = Outcome { id: first.id, ..outcome(Verdict::Stored(hash(2))) };
    let (answer, receipt) = (answer(first.id), receipt());
    let again = store.blobs.settle(&second, Some(&blob(&hash(2))), &answer, &receipt).await;
    assert!(matches!(again, Err(RepoError::Conflict)), "{again:?}");
    assert_eq!(store.blobs.outcome(first.id).await.unwrap(), Some(first));
    assert_eq!(store.blobs.find(&hash(2)).await.unwrap(), None);
    assert_eq!(store.pending().await.len(), 1);
    assert!(!store.database.inbox.seen(&receipt.group, receipt.event).await.unwrap());
}

pub(crate) async fn an_event_that_was_seen_stores_nothing(store: &Store) {
    let (first, second, receipt) = (refused(), outcome(Verdict::Stored(hash(1))), receipt());
    store.blobs.settle(&first, None, &answer(first.id), &receipt).await.unwrap();
    let seen = store.blobs.settle(&second, Some(&blob(&hash(1))), &answer(second.id), &receipt).await.unwrap();
    assert_eq!(seen, Settling::Seen);
    assert_eq!(store.blobs.outcome(second.id).await.unwrap(), None);
    assert_eq!(store.blobs.find(&hash(1)).await.unwrap(), None);
    assert_eq!(store.pending().await.len(), 1);
}

pub(crate) async fn of_concurrent_settlements_of_one_gif_one_is_recorded(store: &Store) {
    let id = refused().id;
    let mut calls = JoinSet::new();
    for number in 0..CONCURRENT_CALLS {
        let blob = blob(&hash(number as u64));
        let (blobs, outcome) =
            (Arc::clone(&store.blobs), Outcome { id, ..outcome(Verdict::Stored(hash(number as u64))) });
        calls.spawn(async move { blobs.settle(&outcome, Some(&blob), &answer(id), &receipt()).await.map(|_| outcome) });
    }
    let (recorded, failed): (Vec<_>, Vec<_>) = calls.join_all().await.into_iter().partition(Result::is_ok);
    assert!(failed.iter().all(|result| matches!(result, Err(RepoError::Conflict))), "{failed:?}");
    let recorded: Vec<_> = recorded.into_iter().flatten().collect();
    assert_eq!(recorded.len(), 1);
    assert_eq!(store.blobs.outcome(id).await.unwrap().as_ref(), recorded.first());
    assert_eq!((store.pending().await.len(), store.blobs.list(None, 100).await.unwrap().len()), (1, 1));
}

pub(crate) async fn of_concurrent_deliveries_of_one_event_one_is_recorded(store: &Store) {
    let (refused, receipt) = (refused(), receipt());
    let mut calls = JoinSet::new();
    for _ in 0..CONCURRENT_CALLS {
        let (blobs, refused, receipt) = (Arc::clone(&store.blobs), refused.clone(), receipt.clone());
        calls.spawn(async move { blobs.settle(&refused, None, &answer(refused.id), &receipt).await });
    }
    let results = calls.join_all().await;
    let recorded = results.iter().filter(|result| matches!(result, Ok(Settling::Recorded))).count();
    // A store that checks the receipt before it waits for the other call reports a conflict.
    let known = |result: &Result<_, _>| matches!(result, Ok(_) | Err(RepoError::Conflict));
    assert!(recorded == 1 && results.iter().all(known), "{results:?}");
    assert_eq!(store.pending().await.len(), 1);
}

pub(crate) async fn a_blob_of_several_gifs_is_stored_once(store: &Store) {
    let first = blob(&hash(1));
    store.stored(&first).await;
    let later = Blob { created_at: at(99), ..first.clone() };
    store.stored(&later).await;
    assert_eq!(store.blobs.list(None, 10).await.unwrap(), [first]);
}

pub(crate) async fn gifs_with_the_same_bytes_settle_at_once(store: &Store) {
    let blob = blob(&hash(1));
    let mut calls = JoinSet::new();
    for _ in 0..CONCURRENT_CALLS {
        let (blobs, blob, outcome) = (Arc::clone(&store.blobs), blob.clone(), outcome(Verdict::Stored(hash(1))));
        calls.spawn(async move { blobs.settle(&outcome, Some(&blob), &answer(outcome.id), &receipt()).await });
    }
    for result in calls.join_all().await {
        assert_eq!(result.unwrap(), Settling::Recorded);
    }
    assert_eq!(store.blobs.urls(&hash(1), 100).await.unwrap().len(), CONCURRENT_CALLS);
    assert_eq!(store.blobs.list(None, 10).await.unwrap(), [blob]);
}

pub(crate) async fn an_answer_is_stored_once_for_an_event(store: &Store) {
    let (id, receipt) = (refused().id, receipt());
    let first = answer(id);
    assert_eq!(store.blobs.answer(&first, &receipt).await.unwrap(), Settling::Recorded);
    assert_eq!(store.blobs.answer(&answer(id), &receipt).await.unwrap(), Settling::Seen);
    assert_eq!(store.pending().await, [first]);
}

pub(crate) async fn lists_by_hash_in_pages(store: &Store) {
    let numbers = [7, 1, 300, u64::MAX, 2, 0xA0, 0x99];
    for number in numbers {
        store.stored(&blob(&hash(number))).await;
    }
    let mut expected: Vec<_> = numbers.map(hash).into();
    expected.sort();
    for limit in [1, 3, 7, 100] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.blobs.list(after.as_ref(), limit).await.unwrap();
            assert!(page.len() <= limit as usize);
            let Some(last) = page.last() else { break };
            after = Some(last.sha256.clone());
            found.extend(page.into_iter().map(|blob| blob.sha256));
        }
        assert_eq!(found, expected, "{limit}");
    }
    assert_eq!(store.blobs.list(Some(&hash(u64::MAX)), 9).await.unwrap(), []);
}

pub(crate) async fn lists_outcomes_from_the_newest_gif_in_pages(store: &Store) {
    let mut expected = Vec::new();
    for number in 0..7 {
        expected.push(store.stored(&blob(&hash(number))).await);
        expected.push(refused());
        store.settle(expected.last().unwrap(), None).await.unwrap();
    }
    expected.sort_by_key(|outcome| std::cmp::Reverse(outcome.id));
    for limit in [1, 3, 14, 100] {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = store.blobs.list_outcomes(before, limit).await.unwrap();
            assert!(page.len() <= limit as usize);
            let Some(last) = page.last() else { break };
            before = Some(last.id);
            found.extend(page);
        }
        assert_eq!(found, expected, "{limit}");
    }
}

pub(crate) async fn urls_are_those_of_the_blob(store: &Store) {
    let first = store.stored(&blob(&hash(1))).await;
    let second = store.stored(&blob(&hash(1))).await;
    store.stored(&blob(&hash(2))).await;
    store.settle(&refused(), None).await.unwrap();
    assert_eq!(store.blobs.urls(&hash(1), 10).await.unwrap(), [first.url.clone(), second.url]);
    assert_eq!(store.blobs.urls(&hash(1), 1).await.unwrap(), [first.url]);
}

pub(crate) async fn down_reverts_up(store: &Store) {
    let migrator = &store.database.migrator;
    store.stored(&blob(&hash(1))).await;
    assert_eq!(migrator.down(1).await.unwrap().len(), 1);
    let states: Vec<_> = migrator.status().await.unwrap().into_iter().map(|step| step.state).collect();
    assert_eq!(states, [MigrationState::Applied { at: at(0) }, MigrationState::Pending]);
    assert!(store.blobs.list(None, 1).await.is_err(), "without its schema");
    migrator.up(at(1)).await.unwrap();
    assert_eq!(store.blobs.list(None, 10).await.unwrap(), []);
    store.stored(&blob(&hash(1))).await;
}
