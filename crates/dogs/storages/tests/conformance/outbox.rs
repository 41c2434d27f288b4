//! The outbox.

use std::sync::Arc;
use std::time::Duration;

use dogs_storages::Stores;
use kennel_core::outbox::{Backlog, History};
use kennel_core::{Event, Receipt, TraceContext};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::fixtures::{MANY, assert_batches, at, event, events, id, pending, plain_dog, tell};

/// A lease that the test waits for the end of.
const TTL: Duration = Duration::from_millis(200);
/// Longer than any test takes.
const LONG: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

fn event_ids(events: &[Event]) -> Vec<Uuid> {
    events.iter().map(|event| event.id).collect()
}

/// What is lost where a clock is read in whole milliseconds.
const ROUNDED: Duration = Duration::from_millis(2);

async fn lease(stores: &Stores, holder: Uuid, ttl: Duration) -> bool {
    stores.outbox.lease(holder, ttl).await.unwrap()
}

/// Asks until the lease is given; answers how long after `began`.
async fn until_given(stores: &Stores, holder: Uuid, ttl: Duration, began: Instant) -> Duration {
    while !lease(stores, holder, ttl).await {
        assert!(began.elapsed() < LONG, "the lease is never given");
        sleep(TTL / 8).await;
    }
    began.elapsed()
}

async fn publish(stores: &Stores, events: &[Event]) {
    stores.outbox.mark_published(&event_ids(events), at(0)).await.unwrap();
}

pub(crate) async fn one_holder_has_the_lease(stores: &Stores) {
    let (a, b) = (id(), id());
    assert!(lease(stores, a, LONG).await);
    assert!(!lease(stores, b, LONG).await);
    assert!(lease(stores, a, LONG).await, "renewed");
    assert!(!lease(stores, b, LONG).await);
    stores.outbox.release(a).await.unwrap();
    assert!(lease(stores, b, LONG).await, "it was given up");
    assert!(!lease(stores, a, LONG).await);
}

pub(crate) async fn a_lease_runs_out(stores: &Stores) {
    let (a, b) = (id(), id());
    let began = Instant::now();
    assert!(lease(stores, a, TTL).await);
    let took = until_given(stores, b, LONG, began).await;
    assert!(took + ROUNDED >= TTL, "{took:?}");
    assert!(!lease(stores, a, LONG).await);
}

pub(crate) async fn a_lease_too_far_ahead_lasts_no_longer_than_others(stores: &Stores) {
    let (a, b) = (id(), id());
    // As from a clock that was an hour ahead: no one renews it.
    assert!(lease(stores, a, HOUR).await);
    let began = Instant::now();
    let took = until_given(stores, b, TTL, began).await;
    assert!(took >= TTL, "{took:?}");
    assert!(lease(stores, b, LONG).await, "renewed");
    assert!(!lease(stores, a, LONG).await, "who had it comes too late");
}

pub(crate) async fn a_lease_too_far_ahead_is_held_while_it_is_renewed(stores: &Stores) {
    let (a, b) = (id(), id());
    let began = Instant::now();
    while began.elapsed() < TTL * 4 {
        assert!(lease(stores, a, HOUR).await);
        assert!(!lease(stores, b, TTL).await);
        sleep(TTL / 8).await;
    }
}

pub(crate) async fn of_leases_at_once_one_is_given(stores: &Stores) {
    for _ in 0..5 {
        let mut tasks = JoinSet::new();
        for holder in std::iter::repeat_with(id).take(8) {
            let outbox = Arc::clone(&stores.outbox);
            tasks.spawn(async move { outbox.lease(holder, LONG).await.unwrap().then_some(holder) });
        }
        let given: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!(given.len(), 1);
        stores.outbox.release(given[0]).await.unwrap();
    }
}

pub(crate) async fn a_release_by_another_changes_nothing(stores: &Stores) {
    let (a, b) = (id(), id());
    stores.outbox.release(a).await.unwrap();
    assert!(lease(stores, a, LONG).await);
    stores.outbox.release(b).await.unwrap();
    assert!(!lease(stores, b, LONG).await);
}

pub(crate) async fn events_come_back_as_written(stores: &Stores) {
    let bare = Event { trace: None, data: vec![0, 255, 10].into(), ..event() };
    let short = TraceContext { traceparent: "00-a-b-01".to_owned(), tracestate: None };
    let half = Event { trace: Some(short), key: "ключ 🐕".to_owned(), time: at(-1), ..event() };
    let written = [event(), bare, half, Event { data: vec![b'x'; 300_000].into(), ..event() }];
    tell(stores, &written).await;
    assert_eq!(pending(stores).await, written);
    publish(stores, &written).await;
    assert_eq!(stores.outbox.history(None, 9).await.unwrap(), History::Events(written.into()));
}

pub(crate) async fn pending_is_in_the_order_of_commits(stores: &Stores) {
    let told = events::<5>();
    // Neither ids nor times tell the order.
    let order = [3, 0, 4, 1, 2].map(|place: usize| told[place].clone());
    for event in &order {
        tell(stores, std::slice::from_ref(event)).await;
    }
    assert_eq!(pending(stores).await, order);
    assert_eq!(stores.outbox.pending(2).await.unwrap(), order[..2]);
    assert_eq!(stores.outbox.pending(0).await.unwrap(), []);
}

pub(crate) async fn of_commits_at_once_none_is_missed(stores: &Stores) {
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let dogs = Arc::clone(&stores.dogs);
        tasks.spawn(async move {
            let told = events::<3>();
            dogs.insert(&plain_dog("husky"), &told, None).await.unwrap();
            event_ids(&told)
        });
    }
    let told = tasks.join_all().await;
    let pending = event_ids(&pending(stores).await);
    assert_eq!(pending.len(), 60);
    for ids in told {
        let place = pending.iter().position(|found| *found == ids[0]).unwrap();
        assert_eq!(pending[place..place + 3], ids, "the events of one commit stay together");
    }
}

pub(crate) async fn a_published_event_is_pending_no_more(stores: &Stores) {
    let told = events::<4>();
    tell(stores, &told).await;
    publish(stores, &told[1..3]).await;
    assert_eq!(pending(stores).await, [told[0].clone(), told[3].clone()]);
    publish(stores, &[told[0].clone(), told[3].clone()]).await;
    assert_eq!(pending(stores).await, []);
}

pub(crate) async fn marking_unknown_or_published_events_changes_nothing(stores: &Stores) {
    let told = events::<3>();
    tell(stores, &told).await;
    stores.outbox.mark_published(&[], at(0)).await.unwrap();
    stores.outbox.mark_published(&[id(), told[0].id, id()], at(0)).await.unwrap();
    publish(stores, &told[1..2]).await;
    stores.outbox.mark_published(&[told[0].id, told[0].id], at(9)).await.unwrap();
    assert_eq!(pending(stores).await, told[2..]);
    assert_eq!(stores.outbox.history(None, 9).await.unwrap(), History::Events(told[..2].into()));
    assert_eq!(stores.outbox.purge(at(1), MANY).await.unwrap(), 2, "the first time counts");
}

pub(crate) async fn the_backlog_counts_and_has_the_oldest(stores: &Stores) {
    assert_eq!(stores.outbox.backlog().await.unwrap(), Backlog::default());
    let told = [5, 3, 9].map(|millis| Event { time: at(millis), ..event() });
    tell(stores, &told).await;
    let backlog = |pending, oldest| Backlog { pending, oldest };
    assert_eq!(stores.outbox.backlog().await.unwrap(), backlog(3, Some(at(3))));
    publish(stores, &told[1..2]).await;
    assert_eq!(stores.outbox.backlog().await.unwrap(), backlog(2, Some(at(5))));
    publish(stores, &told).await;
    assert_eq!(stores.outbox.backlog().await.unwrap(), Backlog::default());
}

pub(crate) async fn history_is_in_the_order_of_publishing(stores: &Stores) {
    let told = events::<5>();
    tell(stores, &told).await;
    let order = [2, 0, 4, 1].map(|place: usize| told[place].clone());
    publish(stores, &order[..2]).await;
    publish(stores, &order[2..]).await;
    let history = |after: &Event, limit| stores.outbox.history(Some(after.id), limit);
    assert_eq!(history(&order[0], 9).await.unwrap(), History::Events(order[1..].into()));
    assert_eq!(history(&order[0], 2).await.unwrap(), History::Events(order[1..3].into()));
    assert_eq!(history(&order[3], 9).await.unwrap(), History::Events(Vec::new()));
}

pub(crate) async fn history_without_a_place_is_the_latest(stores: &Stores) {
    assert_eq!(stores.outbox.history(None, 9).await.unwrap(), History::Events(Vec::new()));
    let told = events::<5>();
    tell(stores, &told).await;
    publish(stores, &told[..4]).await;
    assert_eq!(stores.outbox.history(None, 3).await.unwrap(), History::Events(told[1..4].into()));
    assert_eq!(stores.outbox.history(None, 9).await.unwrap(), History::Events(told[..4].into()));
}

pub(crate) async fn history_behind_an_unknown_event_is_gone(stores: &Stores) {
    let told = events::<3>();
    tell(stores, &told).await;
    publish(stores, &told[..2]).await;
    assert_eq!(stores.outbox.history(Some(id()), 9).await.unwrap(), History::UnknownEvent);
    assert_eq!(stores.outbox.history(Some(told[2].id), 9).await.unwrap(), History::UnknownEvent, "never published");
    stores.outbox.purge(at(1), MANY).await.unwrap();
    assert_eq!(stores.outbox.history(Some(told[0].id), 9).await.unwrap(), History::UnknownEvent);
}

pub(crate) async fn a_purge_forgets_published_events_receipts_and_attempts(stores: &Stores) {
    let told = events::<4>();
    tell(stores, &told).await;
    for (event, millis) in told.iter().zip([5, 20, 10]) {
        stores.outbox.mark_published(&[event.id], at(millis)).await.unwrap();
        let receipt = Receipt { group: "g".to_owned(), event: event.id, at: at(millis) };
        stores.inbox.record(&receipt).await.unwrap();
        stores.inbox.count_attempt("g", event.id, at(millis)).await.unwrap();
    }
    assert_eq!(stores.outbox.purge(at(10), MANY).await.unwrap(), 3, "an event, its receipt and its attempts");
    assert_eq!(stores.outbox.purge(at(10), MANY).await.unwrap(), 0);
    assert_eq!(stores.outbox.history(None, 9).await.unwrap(), History::Events(told[1..3].into()));
    assert_eq!(pending(stores).await, told[3..]);
    for (event, kept) in told.iter().zip([false, true, true]) {
        assert_eq!(stores.inbox.seen("g", event.id).await.unwrap(), kept);
        assert_eq!(stores.inbox.attempts("g", event.id).await.unwrap(), u32::from(kept));
    }
}

pub(crate) async fn old_events_and_receipts_are_forgotten_in_batches(stores: &Stores) {
    let told = events::<9>();
    tell(stores, &told).await;
    for (event, millis) in told.iter().zip([0, 1, 2, 3, 4, 5, 6, 10]) {
        stores.outbox.mark_published(&[event.id], at(millis)).await.unwrap();
        // Two receipts of each event, so that some are left when the events are gone.
        for group in ["a", "b"] {
            let receipt = Receipt { group: group.to_owned(), event: event.id, at: at(millis) };
            stores.inbox.record(&receipt).await.unwrap();
        }
    }
    let purge = async || stores.outbox.purge(at(10), 3).await.unwrap();
    assert_batches(stores, &[3 + 3, 3 + 3, 1 + 3, 3, 2], purge).await;
    assert_eq!(stores.outbox.history(None, 9).await.unwrap(), History::Events(told[7..8].into()));
    assert_eq!(pending(stores).await, told[8..]);
    for (number, event) in told.iter().enumerate() {
        for group in ["a", "b"] {
            assert_eq!(stores.inbox.seen(group, event.id).await.unwrap(), number == 7);
        }
    }
}

pub(crate) async fn a_purge_of_many_is_complete(stores: &Stores) {
    let told: Vec<_> = (0..2_500).map(|_| event()).collect();
    tell(stores, &told).await;
    publish(stores, &told).await;
    assert_eq!(stores.outbox.history(Some(told[0].id), 2).await.unwrap(), History::Events(told[1..3].into()));
    assert_eq!(stores.outbox.purge(at(1), MANY).await.unwrap(), 2_500);
    assert_eq!(stores.outbox.history(None, 9).await.unwrap(), History::Events(Vec::new()));
}

pub(crate) async fn wait_ends_with_a_commit(stores: &Stores) {
    let started = Instant::now();
    // Polled in this order, so the wait has begun when the event is committed.
    let told = [event()];
    tokio::join!(stores.outbox.wait(LONG), tell(stores, &told));
    assert!(started.elapsed() < LONG);
}

pub(crate) async fn a_commit_just_before_the_wait_ends_it(stores: &Stores) {
    let started = Instant::now();
    tell(stores, &[event()]).await;
    stores.outbox.wait(LONG).await;
    assert!(started.elapsed() < LONG);
}

pub(crate) async fn wait_ends_at_its_timeout(stores: &Stores) {
    let started = Instant::now();
    stores.outbox.wait(Duration::from_millis(30)).await;
    assert!(started.elapsed() >= Duration::from_millis(30));
}
