//! The outbox.

use std::sync::Arc;
use std::time::Duration;

use dogs_storages::Stores;
use kennel_core::outbox::{Backlog, History};
use kennel_core::{Event, Receipt, TraceContext};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::fixtures::{NO_LIMIT, assert_batches, at, commit_events, event, events, id, pending, plain_dog};

/// The duration of a lease that the test waits out.
const TTL: Duration = Duration::from_millis(200);
/// Longer than any test takes.
const LONG: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

fn event_ids(events: &[Event]) -> Vec<Uuid> {
    events.iter().map(|event| event.id).collect()
}

/// The rounding error of a clock with whole milliseconds.
const ROUNDED: Duration = Duration::from_millis(2);

async fn lease(stores: &Stores, holder: Uuid, ttl: Duration) -> bool {
    stores.database.outbox.lease(holder, ttl).await.unwrap()
}

/// Retries until the lease is granted; returns the time since `started`.
async fn until_granted(stores: &Stores, holder: Uuid, ttl: Duration, started: Instant) -> Duration {
    while !lease(stores, holder, ttl).await {
        assert!(started.elapsed() < LONG, "the lease is never granted");
        sleep(TTL / 8).await;
    }
    started.elapsed()
}

async fn publish(stores: &Stores, events: &[Event]) {
    stores.database.outbox.mark_published(&event_ids(events), at(0)).await.unwrap();
}

pub(crate) async fn one_holder_has_the_lease(stores: &Stores) {
    let (a, b) = (id(), id());
    assert!(lease(stores, a, LONG).await);
    assert!(!lease(stores, b, LONG).await);
    assert!(lease(stores, a, LONG).await, "renewed");
    assert!(!lease(stores, b, LONG).await);
    stores.database.outbox.release(a).await.unwrap();
    assert!(lease(stores, b, LONG).await, "it was released");
    assert!(!lease(stores, a, LONG).await);
}

pub(crate) async fn a_lease_expires(stores: &Stores) {
    let (a, b) = (id(), id());
    let started = Instant::now();
    assert!(lease(stores, a, TTL).await);
    let took = until_granted(stores, b, LONG, started).await;
    assert!(took + ROUNDED >= TTL, "{took:?}");
    assert!(!lease(stores, a, LONG).await);
}

pub(crate) async fn a_lease_that_expires_too_late_lasts_no_longer_than_others(stores: &Stores) {
    let (a, b) = (id(), id());
    // As written by a clock that was an hour ahead; nobody renews it.
    assert!(lease(stores, a, HOUR).await);
    let started = Instant::now();
    let took = until_granted(stores, b, TTL, started).await;
    assert!(took >= TTL, "{took:?}");
    assert!(lease(stores, b, LONG).await, "renewed");
    assert!(!lease(stores, a, LONG).await, "the former holder lost it");
}

pub(crate) async fn a_lease_that_expires_too_late_is_valid_while_it_is_renewed(stores: &Stores) {
    let (a, b) = (id(), id());
    let started = Instant::now();
    while started.elapsed() < TTL * 4 {
        assert!(lease(stores, a, HOUR).await);
        assert!(!lease(stores, b, TTL).await);
        sleep(TTL / 8).await;
    }
}

pub(crate) async fn of_concurrent_leases_one_is_granted(stores: &Stores) {
    for _ in 0..5 {
        let mut tasks = JoinSet::new();
        for holder in std::iter::repeat_with(id).take(8) {
            let outbox = Arc::clone(&stores.database.outbox);
            tasks.spawn(async move { outbox.lease(holder, LONG).await.unwrap().then_some(holder) });
        }
        let granted: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!(granted.len(), 1);
        stores.database.outbox.release(granted[0]).await.unwrap();
    }
}

pub(crate) async fn a_release_by_another_changes_nothing(stores: &Stores) {
    let (a, b) = (id(), id());
    stores.database.outbox.release(a).await.unwrap();
    assert!(lease(stores, a, LONG).await);
    stores.database.outbox.release(b).await.unwrap();
    assert!(!lease(stores, b, LONG).await);
}

pub(crate) async fn events_are_read_as_written(stores: &Stores) {
    let content_type = "application/protobuf".to_owned();
    let bare = Event { trace: None, content_type, data: vec![0, 255, 10].into(), ..event() };
    let short = TraceContext { traceparent: "00-a-b-01".to_owned(), tracestate: None };
    let half = Event { trace: Some(short), key: "ключ 🐕".to_owned(), time: at(-1), ..event() };
    let written = [event(), bare, half, Event { data: vec![b'x'; 300_000].into(), ..event() }];
    commit_events(stores, &written).await;
    assert_eq!(pending(stores).await, written);
    publish(stores, &written).await;
    assert_eq!(stores.database.outbox.history(None, 9).await.unwrap(), History::Events(written.into()));
}

pub(crate) async fn events_without_a_change_are_appended_in_order(stores: &Stores) {
    let outbox = &stores.database.outbox;
    let [first, second, third, fourth] = events::<4>();
    outbox.append(&[second.clone(), first.clone()]).await.unwrap();
    commit_events(stores, std::slice::from_ref(&fourth)).await;
    outbox.append(&[]).await.unwrap();
    // A waiting relay is woken at once, also if the commit was before it waited.
    outbox.wait(Duration::ZERO).await;
    outbox.append(std::slice::from_ref(&third)).await.unwrap();
    let started = Instant::now();
    outbox.wait(LONG).await;
    assert!(started.elapsed() < LONG, "{:?}", started.elapsed());
    let expected = [second, first, fourth, third];
    assert_eq!(pending(stores).await, expected);
    publish(stores, &expected).await;
    assert_eq!(pending(stores).await, []);
}

pub(crate) async fn pending_is_in_the_order_of_commits(stores: &Stores) {
    let written = events::<5>();
    // Neither ids nor times are in this order.
    let order = [3, 0, 4, 1, 2].map(|index: usize| written[index].clone());
    for event in &order {
        commit_events(stores, std::slice::from_ref(event)).await;
    }
    assert_eq!(pending(stores).await, order);
    assert_eq!(stores.database.outbox.pending(2).await.unwrap(), order[..2]);
    assert_eq!(stores.database.outbox.pending(0).await.unwrap(), []);
}

pub(crate) async fn of_concurrent_commits_none_is_missed(stores: &Stores) {
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let dogs = Arc::clone(&stores.dogs);
        tasks.spawn(async move {
            let written = events::<3>();
            dogs.insert(&plain_dog("husky"), &written, None).await.unwrap();
            event_ids(&written)
        });
    }
    let written = tasks.join_all().await;
    let pending = event_ids(&pending(stores).await);
    assert_eq!(pending.len(), 60);
    for ids in written {
        let start = pending.iter().position(|found| *found == ids[0]).unwrap();
        assert_eq!(pending[start..start + 3], ids, "the events of one commit stay together");
    }
}

pub(crate) async fn a_published_event_is_no_longer_pending(stores: &Stores) {
    let written = events::<4>();
    commit_events(stores, &written).await;
    publish(stores, &written[1..3]).await;
    assert_eq!(pending(stores).await, [written[0].clone(), written[3].clone()]);
    publish(stores, &[written[0].clone(), written[3].clone()]).await;
    assert_eq!(pending(stores).await, []);
}

pub(crate) async fn marking_unknown_or_published_events_changes_nothing(stores: &Stores) {
    let written = events::<3>();
    commit_events(stores, &written).await;
    stores.database.outbox.mark_published(&[], at(0)).await.unwrap();
    stores.database.outbox.mark_published(&[id(), written[0].id, id()], at(0)).await.unwrap();
    publish(stores, &written[1..2]).await;
    stores.database.outbox.mark_published(&[written[0].id, written[0].id], at(9)).await.unwrap();
    assert_eq!(pending(stores).await, written[2..]);
    assert_eq!(stores.database.outbox.history(None, 9).await.unwrap(), History::Events(written[..2].into()));
    assert_eq!(stores.database.outbox.purge(at(1), NO_LIMIT).await.unwrap(), 2, "the first call counts");
}

pub(crate) async fn the_backlog_counts_and_has_the_oldest(stores: &Stores) {
    assert_eq!(stores.database.outbox.backlog().await.unwrap(), Backlog::default());
    let written = [5, 3, 9].map(|millis| Event { time: at(millis), ..event() });
    commit_events(stores, &written).await;
    let backlog = |pending, oldest| Backlog { pending, oldest };
    assert_eq!(stores.database.outbox.backlog().await.unwrap(), backlog(3, Some(at(3))));
    publish(stores, &written[1..2]).await;
    assert_eq!(stores.database.outbox.backlog().await.unwrap(), backlog(2, Some(at(5))));
    publish(stores, &written).await;
    assert_eq!(stores.database.outbox.backlog().await.unwrap(), Backlog::default());
}

pub(crate) async fn history_is_in_the_order_of_publishing(stores: &Stores) {
    let written = events::<5>();
    commit_events(stores, &written).await;
    let order = [2, 0, 4, 1].map(|index: usize| written[index].clone());
    publish(stores, &order[..2]).await;
    publish(stores, &order[2..]).await;
    let history = |after: &Event, limit| stores.database.outbox.history(Some(after.id), limit);
    assert_eq!(history(&order[0], 9).await.unwrap(), History::Events(order[1..].into()));
    assert_eq!(history(&order[0], 2).await.unwrap(), History::Events(order[1..3].into()));
    assert_eq!(history(&order[3], 9).await.unwrap(), History::Events(Vec::new()));
}

pub(crate) async fn history_without_a_position_is_the_latest(stores: &Stores) {
    assert_eq!(stores.database.outbox.history(None, 9).await.unwrap(), History::Events(Vec::new()));
    let written = events::<5>();
    commit_events(stores, &written).await;
    publish(stores, &written[..4]).await;
    assert_eq!(stores.database.outbox.history(None, 3).await.unwrap(), History::Events(written[1..4].into()));
    assert_eq!(stores.database.outbox.history(None, 9).await.unwrap(), History::Events(written[..4].into()));
}

pub(crate) async fn history_after_an_unknown_event_is_gone(stores: &Stores) {
    let written = events::<3>();
    commit_events(stores, &written).await;
    publish(stores, &written[..2]).await;
    assert_eq!(stores.database.outbox.history(Some(id()), 9).await.unwrap(), History::UnknownEvent);
    assert_eq!(
        stores.database.outbox.history(Some(written[2].id), 9).await.unwrap(),
        History::UnknownEvent,
        "never published"
    );
    stores.database.outbox.purge(at(1), NO_LIMIT).await.unwrap();
    assert_eq!(stores.database.outbox.history(Some(written[0].id), 9).await.unwrap(), History::UnknownEvent);
}

pub(crate) async fn a_purge_removes_published_events_receipts_and_attempts(stores: &Stores) {
    let written = events::<4>();
    commit_events(stores, &written).await;
    for (event, millis) in written.iter().zip([5, 20, 10]) {
        stores.database.outbox.mark_published(&[event.id], at(millis)).await.unwrap();
        let receipt = Receipt { group: "g".to_owned(), event: event.id, at: at(millis) };
        stores.database.inbox.record(&receipt).await.unwrap();
        stores.database.inbox.count_attempt("g", event.id, at(millis)).await.unwrap();
    }
    assert_eq!(
        stores.database.outbox.purge(at(10), NO_LIMIT).await.unwrap(),
        3,
        "an event, its receipt and its attempts"
    );
    assert_eq!(stores.database.outbox.purge(at(10), NO_LIMIT).await.unwrap(), 0);
    assert_eq!(stores.database.outbox.history(None, 9).await.unwrap(), History::Events(written[1..3].into()));
    assert_eq!(pending(stores).await, written[3..]);
    for (event, retained) in written.iter().zip([false, true, true]) {
        assert_eq!(stores.database.inbox.seen("g", event.id).await.unwrap(), retained);
        assert_eq!(stores.database.inbox.attempts("g", event.id).await.unwrap(), u32::from(retained));
    }
}

pub(crate) async fn old_events_and_receipts_are_removed_in_batches(stores: &Stores) {
    let written = events::<9>();
    commit_events(stores, &written).await;
    for (event, millis) in written.iter().zip([0, 1, 2, 3, 4, 5, 6, 10]) {
        stores.database.outbox.mark_published(&[event.id], at(millis)).await.unwrap();
        // Two receipts per event, so that some remain when the events are removed.
        for group in ["a", "b"] {
            let receipt = Receipt { group: group.to_owned(), event: event.id, at: at(millis) };
            stores.database.inbox.record(&receipt).await.unwrap();
        }
    }
    let purge = async || stores.database.outbox.purge(at(10), 3).await.unwrap();
    assert_batches(stores, &[3 + 3, 3 + 3, 1 + 3, 3, 2], purge).await;
    assert_eq!(stores.database.outbox.history(None, 9).await.unwrap(), History::Events(written[7..8].into()));
    assert_eq!(pending(stores).await, written[8..]);
    for (number, event) in written.iter().enumerate() {
        for group in ["a", "b"] {
            assert_eq!(stores.database.inbox.seen(group, event.id).await.unwrap(), number == 7);
        }
    }
}

pub(crate) async fn a_purge_of_many_is_complete(stores: &Stores) {
    let written: Vec<_> = (0..2_500).map(|_| event()).collect();
    commit_events(stores, &written).await;
    publish(stores, &written).await;
    assert_eq!(
        stores.database.outbox.history(Some(written[0].id), 2).await.unwrap(),
        History::Events(written[1..3].into())
    );
    assert_eq!(stores.database.outbox.purge(at(1), NO_LIMIT).await.unwrap(), 2_500);
    assert_eq!(stores.database.outbox.history(None, 9).await.unwrap(), History::Events(Vec::new()));
}

pub(crate) async fn wait_ends_with_a_commit(stores: &Stores) {
    let started = Instant::now();
    // Polled in this order, so the wait has started when the event is committed.
    let written = [event()];
    tokio::join!(stores.database.outbox.wait(LONG), commit_events(stores, &written));
    assert!(started.elapsed() < LONG);
}

pub(crate) async fn a_commit_just_before_the_wait_ends_it(stores: &Stores) {
    let started = Instant::now();
    commit_events(stores, &[event()]).await;
    stores.database.outbox.wait(LONG).await;
    assert!(started.elapsed() < LONG);
}

pub(crate) async fn wait_ends_at_its_timeout(stores: &Stores) {
    let started = Instant::now();
    stores.database.outbox.wait(Duration::from_millis(30)).await;
    assert!(started.elapsed() >= Duration::from_millis(30));
}
