//! The order of events when transactions commit in a different order than they start.

use std::time::Duration;

use kennel_core::outbox::History;
use kennel_core::{DeadLetter, Event};
use kennel_storage::StorageConfig;
use kennel_testkit::TestDatabase;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::server::{Server, commit_events, event, now, opened};

const LONG: Duration = Duration::from_mins(1);

pub(crate) async fn a_late_commit_is_neither_missed_nor_history_lost<S: Server>(home: &TestDatabase) {
    let server = opened::<S>(home).await;
    let (early, late) = (event(1, "a"), event(2, "b"));
    let mut slow = server.begin().await.unwrap();
    S::append(&mut slow, std::slice::from_ref(&early)).await.unwrap();
    commit_events(&server, std::slice::from_ref(&late)).await;
    let outbox = server.outbox();
    assert_eq!(outbox.pending(9).await.unwrap(), std::slice::from_ref(&late));
    outbox.mark_published(&[late.id], now()).await.unwrap();
    assert_eq!(outbox.history(Some(late.id), 9).await.unwrap(), History::Events(Vec::new()));
    S::commit(slow).await.unwrap();
    assert_eq!(outbox.pending(9).await.unwrap(), std::slice::from_ref(&early));
    outbox.mark_published(&[early.id], now()).await.unwrap();
    assert_eq!(outbox.history(Some(late.id), 9).await.unwrap(), History::Events(vec![early]));
}

pub(crate) async fn events_of_one_row_are_in_the_order_of_its_changes<S: Server>(home: &TestDatabase) {
    const CHANGES: u128 = 40;
    let server = opened::<S>(home).await;
    server.put(1, 0).await.unwrap();
    let change = async |number: u128| {
        let mut write = server.begin().await.unwrap();
        // Another row first, so that the transactions reach the shared row in a different order than they start.
        S::add(&mut write, 100 + i64::try_from(number).unwrap(), 1).await.unwrap();
        S::add(&mut write, 1, 1).await.unwrap();
        let at = S::get_in(&mut write, 1).await.unwrap();
        S::append(&mut write, &[event(u128::try_from(at).unwrap(), "1")]).await.unwrap();
        S::commit(write).await.unwrap();
    };
    futures_util::future::join_all((0..CHANGES).map(change)).await;
    let order: Vec<u128> = server.outbox().pending(999).await.unwrap().iter().map(|event| event.id.as_u128()).collect();
    assert_eq!(order, (1..=CHANGES).collect::<Vec<_>>());
}

pub(crate) async fn readers_of_history_miss_nothing_while_many_mark<S: Server>(home: &TestDatabase) {
    const EVENTS: u128 = 120;
    let (server, other) = (opened::<S>(home).await, S::open(home.dsn(), StorageConfig::default()).await.unwrap());
    let events: Vec<Event> = (0..EVENTS).map(|number| event(number, "k")).collect();
    commit_events(&server, &events).await;
    server.outbox().mark_published(&[events[0].id], now()).await.unwrap();
    let mark = async |server: &S, offset: usize| {
        let outbox = server.outbox();
        for chunk in events[1..].chunks(7).skip(offset).step_by(4) {
            let ids: Vec<_> = chunk.iter().map(|event| event.id).collect();
            outbox.mark_published(&ids, now()).await.unwrap();
        }
    };
    let read = async {
        let outbox = other.outbox();
        let (mut position, mut seen) = (events[0].id, Vec::new());
        while seen.len() + 1 < events.len() {
            let History::Events(page) = outbox.history(Some(position), 5).await.unwrap() else { panic!("gone") };
            seen.extend(page.iter().map(|event| event.id));
            position = seen.last().copied().unwrap_or(position);
        }
        seen
    };
    let marks = async { tokio::join!(mark(&server, 0), mark(&server, 1), mark(&other, 2), mark(&other, 3)) };
    let (_, mut seen) = timeout(LONG, async { tokio::join!(marks, read) }).await.expect("an event was missed");
    seen.sort_unstable();
    assert_eq!(seen, (1..EVENTS).map(Uuid::from_u128).collect::<Vec<_>>());
}

pub(crate) async fn commits_of_another_process_end_a_wait<S: Server>(home: &TestDatabase) {
    let here = opened::<S>(home).await;
    let there = S::open(home.dsn(), StorageConfig::default()).await.unwrap();
    let outbox = here.outbox();
    let started = Instant::now();
    for number in 1..=5 {
        let committed = event(number, "k");
        let received = async {
            while outbox.pending(1).await.unwrap().is_empty() {
                outbox.wait(LONG).await;
            }
        };
        // The wait has started when the event is committed.
        let late = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            commit_events(&there, std::slice::from_ref(&committed)).await;
        };
        tokio::join!(received, late);
        outbox.mark_published(&[committed.id], now()).await.unwrap();
    }
    assert!(started.elapsed() < LONG / 2, "{:?}", started.elapsed());
}

pub(crate) async fn of_concurrent_replays_one_is_true<S: Server>(home: &TestDatabase) {
    let server = opened::<S>(home).await;
    let (sink, dead_letters) = server.dead_letters();
    for number in 0..10 {
        let replayed_event = event(number, "k");
        for group in ["a", "b"] {
            let event = replayed_event.clone();
            let (group, reason) = (group.to_owned(), "no".to_owned());
            sink.store(&DeadLetter { event, group, attempts: 1, reason, at: now() }).await.unwrap();
        }
        let replays = (0..6).map(|_| dead_letters.replay(replayed_event.id, now()));
        let replayed = futures_util::future::join_all(replays).await;
        assert_eq!(replayed.into_iter().filter(|replayed| *replayed.as_ref().unwrap()).count(), 1);
        assert_eq!(server.outbox().pending(99).await.unwrap().len() as u128, number + 1);
    }
}
