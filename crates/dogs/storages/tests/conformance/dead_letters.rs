//! Dead letters.

use dogs_storages::Stores;
use kennel_core::outbox::History;
use kennel_core::{DeadLetter, Event};

use crate::fixtures::{at, commit_events, event, events, id, pending};

fn dead_letter(event: &Event, group: &str) -> DeadLetter {
    DeadLetter {
        event: event.clone(),
        group: group.to_owned(),
        attempts: 5,
        reason: "no such file: 'ü'".to_owned(),
        at: at(3),
    }
}

async fn store(stores: &Stores, dead_letter: &DeadLetter) {
    stores.database.dead_letter_sink.store(dead_letter).await.unwrap();
}

async fn list(stores: &Stores) -> Vec<DeadLetter> {
    stores.database.dead_letters.list(None, 100).await.unwrap()
}

pub(crate) async fn a_dead_letter_is_read_as_written(stores: &Stores) {
    assert_eq!(list(stores).await, []);
    let (of_a, other) = (event(), event());
    let content_type = "application/protobuf".to_owned();
    let bare = Event { trace: None, content_type, data: vec![0, 255, 10].into(), ..other };
    let dead_letters = [dead_letter(&of_a, "a"), dead_letter(&of_a, "b"), dead_letter(&bare, "a")];
    for dead_letter in &dead_letters {
        store(stores, dead_letter).await;
    }
    assert_eq!(list(stores).await, dead_letters);
    assert_eq!(stores.database.dead_letters.find(of_a.id).await.unwrap(), dead_letters[..2]);
    assert_eq!(stores.database.dead_letters.find(bare.id).await.unwrap(), dead_letters[2..]);
    assert_eq!(stores.database.dead_letters.find(id()).await.unwrap(), []);
}

pub(crate) async fn the_latest_attempt_wins(stores: &Stores) {
    let first = dead_letter(&event(), "g");
    store(stores, &first).await;
    let later = DeadLetter { attempts: 7, reason: "other".to_owned(), at: at(4), ..first.clone() };
    store(stores, &later).await;
    assert_eq!(list(stores).await, std::slice::from_ref(&later));
    store(stores, &first).await;
    assert_eq!(list(stores).await, [later], "an older one that arrives late changes nothing");
}

pub(crate) async fn lists_by_event_in_pages(stores: &Stores) {
    let failed = events::<5>();
    for index in [3, 1, 4, 0, 2] {
        store(stores, &dead_letter(&failed[index], "g")).await;
    }
    let expected: Vec<_> = failed.iter().map(|event| dead_letter(event, "g")).collect();
    assert_eq!(stores.database.dead_letters.list(None, 2).await.unwrap(), expected[..2]);
    assert_eq!(stores.database.dead_letters.list(Some(failed[1].id), 2).await.unwrap(), expected[2..4]);
    assert_eq!(stores.database.dead_letters.list(Some(failed[3].id), 2).await.unwrap(), expected[4..]);
    assert_eq!(stores.database.dead_letters.list(Some(failed[4].id), 2).await.unwrap(), []);
}

pub(crate) async fn a_page_does_not_split_an_event(stores: &Stores) {
    let failed = events::<3>();
    for event in &failed {
        for group in ["a", "b"] {
            store(stores, &dead_letter(event, group)).await;
        }
    }
    let (mut after, mut seen) = (None, 0);
    loop {
        let page = stores.database.dead_letters.list(after, 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        after = Some(last.event.id);
        seen += page.len();
    }
    assert_eq!(seen, 6);
}

pub(crate) async fn a_replay_publishes_again_and_removes_the_dead_letters(stores: &Stores) {
    let failed = events::<2>();
    commit_events(stores, &failed).await;
    stores.database.outbox.mark_published(&[failed[0].id, failed[1].id], at(0)).await.unwrap();
    store(stores, &dead_letter(&failed[0], "a")).await;
    store(stores, &dead_letter(&failed[0], "b")).await;
    store(stores, &dead_letter(&failed[1], "a")).await;
    assert!(stores.database.dead_letters.replay(failed[0].id, at(9)).await.unwrap());
    assert_eq!(pending(stores).await, failed[..1], "with its id, time and trace");
    assert_eq!(list(stores).await, [dead_letter(&failed[1], "a")]);
    assert!(!stores.database.dead_letters.replay(failed[0].id, at(9)).await.unwrap());
    assert_eq!(pending(stores).await.len(), 1);
}

pub(crate) async fn a_reader_at_a_replayed_event_misses_nothing(stores: &Stores) {
    let failed = events::<3>();
    commit_events(stores, &failed).await;
    stores.database.outbox.mark_published(&[failed[0].id, failed[1].id, failed[2].id], at(0)).await.unwrap();
    store(stores, &dead_letter(&failed[0], "g")).await;
    stores.database.dead_letters.replay(failed[0].id, at(1)).await.unwrap();
    let history_after = |index: usize| stores.database.outbox.history(Some(failed[index].id), 9);
    assert_eq!(history_after(0).await.unwrap(), History::Events(failed[1..].into()));
    stores.database.outbox.mark_published(&[failed[0].id], at(2)).await.unwrap();
    assert_eq!(pending(stores).await, []);
    assert_eq!(history_after(2).await.unwrap(), History::Events(failed[..1].into()));
    let again = [failed[1].clone(), failed[2].clone(), failed[0].clone()];
    assert_eq!(history_after(0).await.unwrap(), History::Events(again.into()));
}

pub(crate) async fn a_replay_of_a_pending_event_does_not_duplicate_it(stores: &Stores) {
    let failed = [event()];
    commit_events(stores, &failed).await;
    store(stores, &dead_letter(&failed[0], "g")).await;
    assert!(stores.database.dead_letters.replay(failed[0].id, at(1)).await.unwrap());
    assert_eq!(pending(stores).await, failed);
    assert_eq!(list(stores).await, []);
}

pub(crate) async fn a_replay_of_nothing_is_false(stores: &Stores) {
    assert!(!stores.database.dead_letters.replay(id(), at(1)).await.unwrap());
    assert_eq!(pending(stores).await, []);
    let unpublished = event();
    store(stores, &dead_letter(&unpublished, "g")).await;
    assert!(
        stores.database.dead_letters.replay(unpublished.id, at(1)).await.unwrap(),
        "also when its row in the outbox is gone"
    );
    assert_eq!(pending(stores).await, [unpublished]);
}

pub(crate) async fn a_discard_removes_for_good(stores: &Stores) {
    let failed = events::<2>();
    store(stores, &dead_letter(&failed[0], "a")).await;
    store(stores, &dead_letter(&failed[0], "b")).await;
    store(stores, &dead_letter(&failed[1], "a")).await;
    assert!(stores.database.dead_letters.discard(failed[0].id).await.unwrap());
    assert!(!stores.database.dead_letters.discard(failed[0].id).await.unwrap());
    assert_eq!(list(stores).await, [dead_letter(&failed[1], "a")]);
    assert_eq!(pending(stores).await, []);
}
