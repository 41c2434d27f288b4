//! The order of events when transactions end in another order than they began.

use std::time::Duration;

use kennel_core::outbox::History;
use kennel_core::{DeadLetter, Event};
use kennel_storage::PoolConfig;
use kennel_testkit::TestDatabase;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::server::{Server, event, now, opened, tell};

const LONG: Duration = Duration::from_mins(1);

pub(crate) async fn a_late_commit_is_neither_missed_nor_history_lost<S: Server>(home: &TestDatabase) {
    let server = opened::<S>(home).await;
    let (early, late) = (event(1, "a"), event(2, "b"));
    let mut slow = server.begin().await.unwrap();
    S::append(&mut slow, std::slice::from_ref(&early)).await.unwrap();
    tell(&server, std::slice::from_ref(&late)).await;
    let outbox = server.outbox();
    assert_eq!(outbox.pending(9).await.unwrap(), std::slice::from_ref(&late));
    outbox.mark_published(&[late.id], now()).await.unwrap();
    assert_eq!(outbox.history(Some(late.id), 9).await.unwrap(), History::Events(Vec::new()));
    S::commit(slow).await.unwrap();
    assert_eq!(outbox.pending(9).await.unwrap(), std::slice::from_ref(&early));
    outbox.mark_published(&[early.id], now()).await.unwrap();
    assert_eq!(outbox.history(Some(late.id), 9).await.unwrap(), History::Events(vec![early]));
}

pub(crate) async fn changes_of_one_row_are_told_in_their_order<S: Server>(home: &TestDatabase) {
    const CHANGES: u128 = 40;
    let server = opened::<S>(home).await;
    server.put(1, 0).await.unwrap();
    let change = async |number: u128| {
        let mut write = server.begin().await.unwrap();
        // Another row first: these transactions begin in one order and come to the shared row in another.
        S::add(&mut write, 100 + i64::try_from(number).unwrap(), 1).await.unwrap();
        S::add(&mut write, 1, 1).await.unwrap();
        let at = S::get_in(&mut write, 1).await.unwrap();
        S::append(&mut write, &[event(u128::try_from(at).unwrap(), "1")]).await.unwrap();
        S::commit(write).await.unwrap();
    };
    futures_util::future::join_all((0..CHANGES).map(change)).await;
    let told: Vec<u128> = server.outbox().pending(999).await.unwrap().iter().map(|event| event.id.as_u128()).collect();
    assert_eq!(told, (1..=CHANGES).collect::<Vec<_>>());
}

pub(crate) async fn readers_of_history_miss_nothing_while_many_mark<S: Server>(home: &TestDatabase) {
    const EVENTS: u128 = 120;
    let (server, other) = (opened::<S>(home).await, S::open(home.dsn(), PoolConfig::default()).await.unwrap());
    let told: Vec<Event> = (0..EVENTS).map(|number| event(number, "k")).collect();
    tell(&server, &told).await;
    server.outbox().mark_published(&[told[0].id], now()).await.unwrap();
    let mark = async |server: &S, part: usize| {
        let outbox = server.outbox();
        for chunk in told[1..].chunks(7).skip(part).step_by(4) {
            let ids: Vec<_> = chunk.iter().map(|event| event.id).collect();
            outbox.mark_published(&ids, now()).await.unwrap();
        }
    };
    let read = async {
        let outbox = other.outbox();
        let (mut place, mut seen) = (told[0].id, Vec::new());
        while seen.len() + 1 < told.len() {
            let History::Events(events) = outbox.history(Some(place), 5).await.unwrap() else { panic!("gone") };
            seen.extend(events.iter().map(|event| event.id));
            place = seen.last().copied().unwrap_or(place);
        }
        seen
    };
    let marks = async { tokio::join!(mark(&server, 0), mark(&server, 1), mark(&other, 2), mark(&other, 3)) };
    let (_, mut seen) = timeout(LONG, async { tokio::join!(marks, read) }).await.expect("an event was missed");
    seen.sort_unstable();
    assert_eq!(seen, (1..EVENTS).map(Uuid::from_u128).collect::<Vec<_>>());
}

pub(crate) async fn another_processes_commits_end_a_wait<S: Server>(home: &TestDatabase) {
    let here = opened::<S>(home).await;
    let there = S::open(home.dsn(), PoolConfig::default()).await.unwrap();
    let outbox = here.outbox();
    let started = Instant::now();
    for number in 1..=5 {
        let told = event(number, "k");
        let heard = async {
            while outbox.pending(1).await.unwrap().is_empty() {
                outbox.wait(LONG).await;
            }
        };
        // The wait has begun when the event is committed.
        let late = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            tell(&there, std::slice::from_ref(&told)).await;
        };
        tokio::join!(heard, late);
        outbox.mark_published(&[told.id], now()).await.unwrap();
    }
    assert!(started.elapsed() < LONG / 2, "{:?}", started.elapsed());
}

pub(crate) async fn of_replays_at_once_one_is_true<S: Server>(home: &TestDatabase) {
    let server = opened::<S>(home).await;
    let (sink, letters) = server.letters();
    for number in 0..10 {
        let buried = event(number, "k");
        for group in ["a", "b"] {
            let event = buried.clone();
            let (group, reason) = (group.to_owned(), "no".to_owned());
            sink.store(&DeadLetter { event, group, attempts: 1, reason, at: now() }).await.unwrap();
        }
        let replays = (0..6).map(|_| letters.replay(buried.id, now()));
        let replayed = futures_util::future::join_all(replays).await;
        assert_eq!(replayed.into_iter().filter(|replayed| *replayed.as_ref().unwrap()).count(), 1);
        assert_eq!(server.outbox().pending(99).await.unwrap().len() as u128, number + 1);
    }
}
