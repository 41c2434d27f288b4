//! Dead letters.

use dogs_storages::Stores;
use kennel_core::outbox::History;
use kennel_core::{DeadLetter, Event};

use crate::fixtures::{at, event, events, id, pending, tell};

fn letter(event: &Event, group: &str) -> DeadLetter {
    DeadLetter {
        event: event.clone(),
        group: group.to_owned(),
        attempts: 5,
        reason: "no such file: 'ü'".to_owned(),
        at: at(3),
    }
}

async fn bury(stores: &Stores, letter: &DeadLetter) {
    stores.dead_letter_sink.store(letter).await.unwrap();
}

async fn list(stores: &Stores) -> Vec<DeadLetter> {
    stores.dead_letters.list(None, 100).await.unwrap()
}

pub(crate) async fn a_letter_comes_back_as_buried(stores: &Stores) {
    assert_eq!(list(stores).await, []);
    let (of_a, other) = (event(), event());
    let bare = Event { trace: None, ..other };
    let letters = [letter(&of_a, "a"), letter(&of_a, "b"), letter(&bare, "a")];
    for letter in &letters {
        bury(stores, letter).await;
    }
    assert_eq!(list(stores).await, letters);
    assert_eq!(stores.dead_letters.find(of_a.id).await.unwrap(), letters[..2]);
    assert_eq!(stores.dead_letters.find(bare.id).await.unwrap(), letters[2..]);
    assert_eq!(stores.dead_letters.find(id()).await.unwrap(), []);
}

pub(crate) async fn the_latest_attempt_wins(stores: &Stores) {
    let first = letter(&event(), "g");
    bury(stores, &first).await;
    let later = DeadLetter { attempts: 7, reason: "other".to_owned(), at: at(4), ..first.clone() };
    bury(stores, &later).await;
    assert_eq!(list(stores).await, std::slice::from_ref(&later));
    bury(stores, &first).await;
    assert_eq!(list(stores).await, [later], "an old one that comes late changes nothing");
}

pub(crate) async fn lists_by_event_in_pages(stores: &Stores) {
    let told = events::<5>();
    for place in [3, 1, 4, 0, 2] {
        bury(stores, &letter(&told[place], "g")).await;
    }
    let expected: Vec<_> = told.iter().map(|event| letter(event, "g")).collect();
    assert_eq!(stores.dead_letters.list(None, 2).await.unwrap(), expected[..2]);
    assert_eq!(stores.dead_letters.list(Some(told[1].id), 2).await.unwrap(), expected[2..4]);
    assert_eq!(stores.dead_letters.list(Some(told[3].id), 2).await.unwrap(), expected[4..]);
    assert_eq!(stores.dead_letters.list(Some(told[4].id), 2).await.unwrap(), []);
}

pub(crate) async fn a_page_does_not_part_an_event(stores: &Stores) {
    let told = events::<3>();
    for event in &told {
        for group in ["a", "b"] {
            bury(stores, &letter(event, group)).await;
        }
    }
    let (mut after, mut seen) = (None, 0);
    loop {
        let page = stores.dead_letters.list(after, 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        after = Some(last.event.id);
        seen += page.len();
    }
    assert_eq!(seen, 6);
}

pub(crate) async fn a_replay_publishes_again_and_removes_the_letters(stores: &Stores) {
    let told = events::<2>();
    tell(stores, &told).await;
    stores.outbox.mark_published(&[told[0].id, told[1].id], at(0)).await.unwrap();
    bury(stores, &letter(&told[0], "a")).await;
    bury(stores, &letter(&told[0], "b")).await;
    bury(stores, &letter(&told[1], "a")).await;
    assert!(stores.dead_letters.replay(told[0].id, at(9)).await.unwrap());
    assert_eq!(pending(stores).await, told[..1], "with its id, time and trace");
    assert_eq!(list(stores).await, [letter(&told[1], "a")]);
    assert!(!stores.dead_letters.replay(told[0].id, at(9)).await.unwrap());
    assert_eq!(pending(stores).await.len(), 1);
}

pub(crate) async fn a_reader_at_a_replayed_event_misses_nothing(stores: &Stores) {
    let told = events::<3>();
    tell(stores, &told).await;
    stores.outbox.mark_published(&[told[0].id, told[1].id, told[2].id], at(0)).await.unwrap();
    bury(stores, &letter(&told[0], "g")).await;
    stores.dead_letters.replay(told[0].id, at(1)).await.unwrap();
    let behind = |place: usize| stores.outbox.history(Some(told[place].id), 9);
    assert_eq!(behind(0).await.unwrap(), History::Events(told[1..].into()));
    stores.outbox.mark_published(&[told[0].id], at(2)).await.unwrap();
    assert_eq!(pending(stores).await, []);
    assert_eq!(behind(2).await.unwrap(), History::Events(told[..1].into()));
    let again = [told[1].clone(), told[2].clone(), told[0].clone()];
    assert_eq!(behind(0).await.unwrap(), History::Events(again.into()));
}

pub(crate) async fn a_replay_of_a_waiting_event_does_not_double_it(stores: &Stores) {
    let told = [event()];
    tell(stores, &told).await;
    bury(stores, &letter(&told[0], "g")).await;
    assert!(stores.dead_letters.replay(told[0].id, at(1)).await.unwrap());
    assert_eq!(pending(stores).await, told);
    assert_eq!(list(stores).await, []);
}

pub(crate) async fn a_replay_of_nothing_is_false(stores: &Stores) {
    assert!(!stores.dead_letters.replay(id(), at(1)).await.unwrap());
    assert_eq!(pending(stores).await, []);
    let unpublished = event();
    bury(stores, &letter(&unpublished, "g")).await;
    assert!(stores.dead_letters.replay(unpublished.id, at(1)).await.unwrap(), "its row need not be there any more");
    assert_eq!(pending(stores).await, [unpublished]);
}

pub(crate) async fn a_discard_removes_for_good(stores: &Stores) {
    let told = events::<2>();
    bury(stores, &letter(&told[0], "a")).await;
    bury(stores, &letter(&told[0], "b")).await;
    bury(stores, &letter(&told[1], "a")).await;
    assert!(stores.dead_letters.discard(told[0].id).await.unwrap());
    assert!(!stores.dead_letters.discard(told[0].id).await.unwrap());
    assert_eq!(list(stores).await, [letter(&told[1], "a")]);
    assert_eq!(pending(stores).await, []);
}
