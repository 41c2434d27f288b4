//! A broker that restarts, that loses all its data, and that an operator deletes objects from.
//!
//! Members and broadcast subscriptions must recover without anything being published again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use kennel_broker::Broker;
use kennel_core::broker::BrokerError;
use kennel_core::{DeadLetters, Event, EventFilter, Group};
use kennel_testkit::PrivateServer;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::cases::{POLL, TEST_TIMEOUT, event, publish};
use crate::{ServerNamespace, TOPIC};

/// Events of a batch, and the keys that they have.
const EVENTS: u128 = 40;
const KEYS: u128 = 13;
/// Number of the first event that becomes a dead letter.
const BAD: u128 = 1_000_000;
/// Numbers of the first events of further batches, in the order of publishing.
const FIRST: u128 = 2_000_000;
const THEN: u128 = 3_000_000;
const LAST: u128 = 4_000_000;
/// Longer than any earlier state is effective: the leases of a namespace and the periodic work of members.
const OBSERVATION_TIME: Duration = Duration::from_secs(7);

/// Expands to one test per case over `$home`, each with one member and with two.
macro_rules! loss_cases {
    ($namespace:ty) => { $crate::losses::loss_cases! { $namespace: restart wipe object } };
    ($namespace:ty: $($case:ident)+) => { $(
        mod $case {
            #[allow(unused_imports, clippy::allow_attributes, reason = "the type can be one of the module above")]
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn with_one_member() {
                $crate::losses::$case::<$namespace>(1).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn with_two_members() {
                $crate::losses::$case::<$namespace>(2).await;
            }
        }
    )+ };
}
pub(crate) use loss_cases;

/// The settled events in order: member, key and number.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(usize, String, u128)>>>);

impl Log {
    fn numbers(&self) -> BTreeSet<u128> {
        self.0.lock().unwrap().iter().map(|(_, _, number)| *number).collect()
    }

    async fn has(&self, what: &str, numbers: std::ops::Range<u128>) {
        let done = timeout(TEST_TIMEOUT, async {
            while !numbers.clone().all(|number| self.numbers().contains(&number)) {
                sleep(POLL).await;
            }
        });
        let missing = || numbers.clone().filter(|number| !self.numbers().contains(number)).collect::<Vec<_>>();
        assert!(done.await.is_ok(), "{what}: {:?} were not delivered", missing());
    }

    /// Events are redelivered, but none may first be delivered before an older one.
    fn assert_ordered(&self, what: &str) {
        let mut by_key = BTreeMap::<_, Vec<_>>::new();
        for (_, key, number) in self.0.lock().unwrap().iter() {
            let seen = by_key.entry(key.clone()).or_default();
            if !seen.contains(number) {
                seen.push(*number);
            }
        }
        assert!(by_key.values().all(|seen| seen.is_sorted()), "{what}: {by_key:?}");
    }

    /// Returns the members that have settled something after the first `skip` entries.
    fn members(&self, skip: usize) -> BTreeSet<usize> {
        self.0.lock().unwrap().iter().skip(skip).map(|(member, _, _)| *member).collect()
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Settles events like a consumer of the service: subscribes again whenever the subscription fails.
    async fn work(self, member: usize, broker: Arc<dyn Broker>, group: Group) {
        loop {
            let Ok(mut subscription) = broker.subscribe(TOPIC, &group, &EventFilter::All).await else {
                sleep(POLL).await;
                continue;
            };
            while let Some(Ok(delivery)) = subscription.next().await {
                let (key, number) = (delivery.event.key.clone(), delivery.event.id.as_u128());
                self.0.lock().unwrap().push((member, key, number));
                if (BAD..FIRST).contains(&number) {
                    delivery.dead_letter("bad").await.ok();
                } else {
                    delivery.ack().await.ok();
                }
            }
        }
    }
}

/// The events of a broadcast subscription, and whether it reported missed events.
#[derive(Clone, Default)]
struct BroadcastLog(Arc<Mutex<(BTreeSet<u128>, bool)>>);

impl BroadcastLog {
    async fn listen(self, broker: Arc<dyn Broker>) {
        let mut subscription = broker.subscribe(TOPIC, &Group::Broadcast, &EventFilter::All).await.unwrap();
        while let Some(next) = subscription.next().await {
            let mut received = self.0.lock().unwrap();
            match next {
                Ok(delivery) => _ = received.0.insert(delivery.event.id.as_u128()),
                Err(BrokerError::Unavailable(_)) => received.1 = true,
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

fn batch(numbers: std::ops::Range<u128>) -> Vec<Event> {
    numbers.map(|number| event(number, &format!("k{}", number % KEYS))).collect()
}

/// Members and a broadcast subscription of a broker that loses something.
struct LossScenario {
    publisher: Arc<dyn Broker>,
    dead_letters: Arc<dyn DeadLetters>,
    log: Log,
    received: BroadcastLog,
    _running: JoinSet<()>,
    members: usize,
}

impl LossScenario {
    /// Starts the members and settles a first batch.
    async fn begin<H: ServerNamespace>(namespace: &H, members: usize) -> Self {
        let (publisher, dead_letters) = namespace.open(None).await;
        let group = Group::Shared("g".to_owned());
        // Before the first event: events that a topic had before its first group may be delivered after newer ones.
        drop(publisher.subscribe(TOPIC, &group, &EventFilter::All).await.unwrap());
        let (log, received, mut running) = (Log::default(), BroadcastLog::default(), JoinSet::new());
        for member in 0..members {
            let (broker, _) = namespace.open(None).await;
            running.spawn(log.clone().work(member, broker, group.clone()));
        }
        running.spawn(received.clone().listen(Arc::clone(&publisher)));
        let scenario = Self { publisher, dead_letters, log, received, _running: running, members };
        scenario.listener_receives(FIRST).await;
        publish(&scenario.publisher, &batch(0..EVENTS)).await;
        scenario.log.has("at the start", 0..EVENTS).await;
        scenario
    }

    /// Publishes events from this number on until the broadcast subscription has received one.
    async fn listener_receives(&self, number: u128) {
        let received = timeout(TEST_TIMEOUT, async {
            for next in number.. {
                publish(&self.publisher, &[event(next, "other")]).await;
                sleep(POLL).await;
                if self.received.0.lock().unwrap().0.range(number..).next().is_some() {
                    break;
                }
            }
        });
        received.await.expect("the broadcast subscription continues");
    }

    /// Checks that everything recovers by itself; returns the time it took.
    async fn recovers(&self, what: &str) -> Duration {
        let began = Instant::now();
        let skip = self.log.len();
        publish(&self.publisher, &batch(EVENTS..2 * EVENTS)).await;
        self.log.has(what, EVENTS..2 * EVENTS).await;
        let took = began.elapsed();
        self.log.assert_ordered(what);
        self.listener_receives(THEN).await;
        let received = self.received.0.lock().unwrap().clone();
        let is_complete = (EVENTS..2 * EVENTS).all(|number| received.0.contains(&number));
        assert!(is_complete || received.1, "{what}: a broadcast subscription missed events without an error");
        self.all_members_receive(what, skip).await;
        self.stays_healthy(what).await;
        took
    }

    /// Checks that it still works after all earlier state has expired.
    async fn stays_healthy(&self, what: &str) {
        let (began, mut number) = (Instant::now(), 2 * LAST);
        while began.elapsed() < OBSERVATION_TIME {
            publish(&self.publisher, &[event(number, &format!("y{}", number % 40))]).await;
            number += 1;
            sleep(10 * POLL).await;
        }
        self.log.has(what, 2 * LAST..number).await;
        self.log.assert_ordered(what);
    }

    /// Checks that every member has partitions again.
    async fn all_members_receive(&self, what: &str, skip: usize) {
        let all = timeout(TEST_TIMEOUT, async {
            for number in LAST.. {
                if self.log.members(skip).len() == self.members {
                    break;
                }
                publish(&self.publisher, &[event(number, &format!("x{}", number % 40))]).await;
                sleep(POLL).await;
            }
        });
        assert!(all.await.is_ok(), "{what}: only {:?} of {} members continue", self.log.members(skip), self.members);
    }

    /// Makes an event a dead letter, which must be stored.
    async fn stores_dead_letter(&self, what: &str, number: u128) {
        publish(&self.publisher, &[event(number, "bad")]).await;
        let found = timeout(TEST_TIMEOUT, async {
            while self.dead_letters.find(Uuid::from_u128(number)).await.map_or(0, |found| found.len()) == 0 {
                sleep(POLL).await;
            }
        });
        assert!(found.await.is_ok(), "{what}: no dead letter is stored");
    }
}

/// Prints the recovery time, for the table in the report of a run.
fn report<H: ServerNamespace>(what: &str, members: usize, took: Duration) {
    eprintln!("recovered: {:?}, {what}, {members} members, after {:.1} s", H::SERVER, took.as_secs_f64());
}

pub(crate) async fn restart<H: ServerNamespace>(members: usize) {
    let Some(mut server) = PrivateServer::start(H::SERVER).await else { return };
    let namespace = H::of(server.url(), "kennel");
    // A group without members.
    let (broker, _) = namespace.open(None).await;
    let late = Group::Shared("late".to_owned());
    drop(broker.subscribe(TOPIC, &late, &EventFilter::All).await.unwrap());
    let scenario = LossScenario::begin(&namespace, members).await;
    scenario.stores_dead_letter("before", BAD).await;
    server.restart().await;
    let took = scenario.recovers("restart").await;
    report::<H>("restart", members, took);
    assert_eq!(scenario.dead_letters.find(Uuid::from_u128(BAD)).await.unwrap().len(), 1, "dead letters are retained");
    // Everything that was published and not settled.
    let (log, mut running) = (Log::default(), JoinSet::new());
    running.spawn(log.clone().work(0, broker, late));
    log.has("unsettled events", 0..2 * EVENTS).await;
    log.assert_ordered("unsettled events");
}

pub(crate) async fn wipe<H: ServerNamespace>(members: usize) {
    let Some(mut server) = PrivateServer::start(H::SERVER).await else { return };
    let namespace = H::of(server.url(), "kennel");
    let scenario = LossScenario::begin(&namespace, members).await;
    scenario.stores_dead_letter("before", BAD).await;
    server.restart_empty().await;
    let took = scenario.recovers("data wiped").await;
    report::<H>("data wiped", members, took);
    scenario.stores_dead_letter("data wiped", BAD + 1).await;
}

pub(crate) async fn object<H: ServerNamespace>(members: usize) {
    let Some(server) = PrivateServer::start(H::SERVER).await else { return };
    // Concurrently: each has its own prefix.
    let scenarios = H::OBJECTS.iter().enumerate().map(async |(number, object)| {
        let namespace = H::of(server.url(), &format!("t{number}"));
        let scenario = LossScenario::begin(&namespace, members).await;
        scenario.stores_dead_letter(object, BAD).await;
        namespace.remove(object).await;
        let took = scenario.recovers(object).await;
        report::<H>(&format!("{object} removed"), members, took);
        // Deleting the exchange deletes no dead letters.
        let stored = scenario.dead_letters.list(None, 10).await.unwrap().len();
        assert_eq!(stored == 0, object.contains("dead") && !object.contains("exchange"), "{object}: {stored}");
        scenario.stores_dead_letter(object, BAD + 1).await;
    });
    join_all(scenarios).await;
}
