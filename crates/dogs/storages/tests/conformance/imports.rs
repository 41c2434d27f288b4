//! Imports.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dogs_domain::Dog;
use dogs_domain::ports::ImportProgress;
use dogs_storages::Stores;
use kennel_core::{CodecError, Event, RepoError};
use tokio::task::JoinSet;

use crate::fixtures::{all, at, batch, count_event, dog, ids, pending, plain_dog, put};

/// The numbers of new dogs in the pending events.
async fn pending_counts(stores: &Stores) -> Vec<u64> {
    let text = |event: Event| String::from_utf8(event.data.to_vec()).unwrap();
    pending(stores).await.into_iter().map(|event| text(event).parse().unwrap()).collect()
}

fn dogs(number: usize) -> Vec<Dog> {
    (0..number).map(|_| plain_dog("husky")).collect()
}

pub(crate) async fn an_import_starts_once(stores: &Stores) {
    let fresh = ImportProgress { started_at: at(0), lines: 0, digest: [0; 32] };
    assert_eq!(stores.imports.begin_import("i", at(0)).await.unwrap(), fresh);
    assert_eq!(stores.imports.begin_import("i", at(9)).await.unwrap(), fresh);
    let step = batch("i", dogs(2), 7);
    stores.imports.import(&step, &|n| Ok(count_event(n))).await.unwrap();
    let further = ImportProgress { started_at: at(0), lines: 7, digest: step.digest };
    assert_eq!(stores.imports.begin_import("i", at(9)).await.unwrap(), further);
}

pub(crate) async fn stores_a_batch_with_one_event(stores: &Stores) {
    stores.imports.begin_import("i", at(0)).await.unwrap();
    let step = batch("i", dogs(3), 5);
    assert_eq!(stores.imports.import(&step, &|n| Ok(count_event(n))).await.unwrap(), []);
    assert_eq!(all(stores).await, step.dogs);
    assert_eq!(pending_counts(stores).await, [3]);
}

pub(crate) async fn imported_dogs_are_read_as_written(stores: &Stores) {
    let mut rich = dog("hound-afghan");
    rich.photo.as_mut().unwrap().thumbnail = Some("photos/t.webp".parse().unwrap());
    rich.name = Some("犬 🐕 '".to_owned());
    let written = vec![rich, plain_dog("pug"), Dog { name: Some(String::new()), ..plain_dog("pug") }];
    stores.imports.import(&batch("i", written.clone(), 3), &|n| Ok(count_event(n))).await.unwrap();
    for dog in &written {
        assert_eq!(stores.dogs.find(dog.id).await.unwrap().as_ref(), Some(dog));
    }
}

pub(crate) async fn a_processed_batch_stores_nothing(stores: &Stores) {
    let step = batch("i", dogs(3), 3);
    stores.imports.import(&step, &|n| Ok(count_event(n))).await.unwrap();
    let calls = AtomicU64::new(0);
    for repetition in [step.clone(), batch("i", dogs(2), 3), batch("i", dogs(2), 2)] {
        let counted = |n| {
            calls.fetch_add(1, Ordering::Relaxed);
            Ok(count_event(n))
        };
        assert_eq!(stores.imports.import(&repetition, &counted).await.unwrap(), []);
    }
    assert_eq!(calls.into_inner(), 0);
    assert_eq!(all(stores).await, step.dogs);
    assert_eq!(pending_counts(stores).await, [3]);
    assert_eq!(stores.imports.begin_import("i", at(0)).await.unwrap().digest, step.digest);
}

pub(crate) async fn an_overlap_returns_the_existing_ids_and_leaves_their_dogs(stores: &Stores) {
    let saved = dog("pug");
    put(stores, &saved).await;
    let mut rows = dogs(300);
    rows[150] = Dog { id: saved.id, ..plain_dog("husky") };
    let existing = stores.imports.import(&batch("i", rows, 300), &|n| Ok(count_event(n))).await.unwrap();
    assert_eq!(existing, [saved.id]);
    assert_eq!(stores.dogs.find(saved.id).await.unwrap(), Some(saved));
    assert_eq!(all(stores).await.len(), 300);
    assert_eq!(pending_counts(stores).await, [299]);
}

pub(crate) async fn a_batch_of_existing_ids_appends_no_event(stores: &Stores) {
    let rows = dogs(3);
    for row in &rows {
        put(stores, row).await;
    }
    let existing = stores.imports.import(&batch("i", rows.clone(), 3), &|n| Ok(count_event(n))).await.unwrap();
    assert_eq!(existing, ids(&rows));
    assert_eq!(pending(stores).await, []);
    assert_eq!(stores.imports.begin_import("i", at(0)).await.unwrap().lines, 3);
}

pub(crate) async fn of_two_rows_with_one_id_the_first_is_stored(stores: &Stores) {
    let first = dog("pug");
    let second = Dog { id: first.id, ..plain_dog("husky") };
    let rows = vec![first.clone(), second.clone(), second];
    let existing = stores.imports.import(&batch("i", rows, 3), &|n| Ok(count_event(n))).await.unwrap();
    assert_eq!(existing, [first.id, first.id]);
    assert_eq!(all(stores).await, [first]);
    assert_eq!(pending_counts(stores).await, [1]);
}

pub(crate) async fn an_empty_batch_advances_the_progress(stores: &Stores) {
    stores.imports.begin_import("i", at(0)).await.unwrap();
    assert_eq!(stores.imports.import(&batch("i", Vec::new(), 4), &|n| Ok(count_event(n))).await.unwrap(), []);
    assert_eq!(stores.imports.begin_import("i", at(0)).await.unwrap().lines, 4);
    assert_eq!(pending(stores).await, []);
}

pub(crate) async fn a_failing_event_stores_nothing(stores: &Stores) {
    stores.imports.begin_import("i", at(0)).await.unwrap();
    let broken = || CodecError::Encode("no".into());
    let result = stores.imports.import(&batch("i", dogs(3), 3), &|_| Err(broken())).await;
    assert!(matches!(result, Err(RepoError::Backend(_))), "{result:?}");
    assert_eq!(all(stores).await, []);
    assert_eq!(stores.imports.begin_import("i", at(0)).await.unwrap().lines, 0);
}

pub(crate) async fn batches_of_any_size(stores: &Stores) {
    let (mut lines, mut expected) = (0, Vec::new());
    for size in [1, 7, 8, 9, 127, 128, 129, 137, 1_000, 5_000] {
        lines += size as u64;
        let rows = dogs(size);
        expected.extend(ids(&rows));
        assert_eq!(stores.imports.import(&batch("i", rows, lines), &|n| Ok(count_event(n))).await.unwrap(), []);
    }
    assert_eq!(ids(&all(stores).await), expected);
    assert_eq!(pending_counts(stores).await.iter().sum::<u64>(), lines);
}

pub(crate) async fn of_concurrent_calls_with_one_batch_each_dog_is_stored_once(stores: &Stores) {
    let step = Arc::new(batch("i", dogs(200), 200));
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let (imports, step) = (Arc::clone(&stores.imports), Arc::clone(&step));
        tasks.spawn(async move { imports.import(&step, &|n| Ok(count_event(n))).await.unwrap() });
    }
    assert!(tasks.join_all().await.into_iter().all(|existing| existing.is_empty()));
    assert_eq!(all(stores).await, step.dogs);
    assert_eq!(pending_counts(stores).await, [200]);
}

pub(crate) async fn imports_do_not_share_their_progress(stores: &Stores) {
    stores.imports.import(&batch("a", dogs(2), 9), &|n| Ok(count_event(n))).await.unwrap();
    stores.imports.import(&batch("b", dogs(2), 2), &|n| Ok(count_event(n))).await.unwrap();
    assert_eq!(stores.imports.begin_import("a", at(0)).await.unwrap().lines, 9);
    assert_eq!(stores.imports.begin_import("b", at(0)).await.unwrap().lines, 2);
    assert_eq!(all(stores).await.len(), 4);
}
