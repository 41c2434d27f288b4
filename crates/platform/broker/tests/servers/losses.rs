//! A broker that restarts, that loses all its data, and that an operator removes something from.
//!
//! Members and listeners have to go on by themselves, with nothing published again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use kennel_broker::Broker;
use kennel_core::broker::BrokerError;
use kennel_core::{DeadLetters, Event, Group};
use kennel_testkit::PrivateServer;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::cases::{PATIENCE, POLL, event, publish};
use crate::{Home, TOPIC};

/// Events of a batch, and the keys that they have.
const EVENTS: u128 = 40;
const KEYS: u128 = 13;
/// The first of the events that become dead letters.
const BAD: u128 = 1_000_000;
/// The first of further events, in the order in which they are published.
const FIRST: u128 = 2_000_000;
const THEN: u128 = 3_000_000;
const LAST: u128 = 4_000_000;
/// Longer than what was there before can hold out: the leases of a home and what the members do every few seconds.
const LASTING: Duration = Duration::from_secs(7);

/// Expands to one test per case over `$home`, each with one member and with two.
macro_rules! loss_cases {
    ($home:ty) => { $crate::losses::loss_cases! { $home: restart wipe object } };
    ($home:ty: $($case:ident)+) => { $(
        mod $case {
            #[allow(unused_imports, clippy::allow_attributes, reason = "the type can be one of the module above")]
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn with_one_member() {
                $crate::losses::$case::<$home>(1).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn with_two_members() {
                $crate::losses::$case::<$home>(2).await;
            }
        }
    )+ };
}
pub(crate) use loss_cases;

/// What members have dealt with, in the order in which they did: who, the key and the number.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(usize, String, u128)>>>);

impl Log {
    fn numbers(&self) -> BTreeSet<u128> {
        self.0.lock().unwrap().iter().map(|(_, _, number)| *number).collect()
    }

    async fn has(&self, what: &str, numbers: std::ops::Range<u128>) {
        let done = timeout(PATIENCE, async {
            while !numbers.clone().all(|number| self.numbers().contains(&number)) {
                sleep(POLL).await;
            }
        });
        let missing = || numbers.clone().filter(|number| !self.numbers().contains(number)).collect::<Vec<_>>();
        assert!(done.await.is_ok(), "{what}: {:?} do not come", missing());
    }

    /// Events come again, but none may come for the first time before one that is older.
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

    /// The members that have dealt with something behind the first `skip` entries.
    fn members(&self, skip: usize) -> BTreeSet<usize> {
        self.0.lock().unwrap().iter().skip(skip).map(|(member, _, _)| *member).collect()
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Deals with events as a consumer of the service does: subscribes again whenever the subscription fails.
    async fn work(self, member: usize, broker: Arc<dyn Broker>, group: Group) {
        loop {
            let Ok(mut subscription) = broker.subscribe(TOPIC, &group).await else {
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

/// What a listener has seen, and whether it was told that it missed something.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<(BTreeSet<u128>, bool)>>);

impl Heard {
    async fn listen(self, broker: Arc<dyn Broker>) {
        let mut subscription = broker.subscribe(TOPIC, &Group::Broadcast).await.unwrap();
        while let Some(next) = subscription.next().await {
            let mut heard = self.0.lock().unwrap();
            match next {
                Ok(delivery) => _ = heard.0.insert(delivery.event.id.as_u128()),
                Err(BrokerError::Unavailable(_)) => heard.1 = true,
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

fn batch(numbers: std::ops::Range<u128>) -> Vec<Event> {
    numbers.map(|number| event(number, &format!("k{}", number % KEYS))).collect()
}

/// Members and a listener around a broker that loses something.
struct Story {
    publisher: Arc<dyn Broker>,
    letters: Arc<dyn DeadLetters>,
    log: Log,
    heard: Heard,
    _running: JoinSet<()>,
    members: usize,
}

impl Story {
    /// All is well: a batch is dealt with.
    async fn begin<H: Home>(home: &H, members: usize) -> Self {
        let (publisher, letters) = home.open(None).await;
        let group = Group::Shared("g".to_owned());
        // Before the first event: those that a topic has before its first group can come behind newer ones.
        drop(publisher.subscribe(TOPIC, &group).await.unwrap());
        let (log, heard, mut running) = (Log::default(), Heard::default(), JoinSet::new());
        for member in 0..members {
            let (broker, _) = home.open(None).await;
            running.spawn(log.clone().work(member, broker, group.clone()));
        }
        running.spawn(heard.clone().listen(Arc::clone(&publisher)));
        let story = Self { publisher, letters, log, heard, _running: running, members };
        story.hears(FIRST).await;
        publish(&story.publisher, &batch(0..EVENTS)).await;
        story.log.has("at the beginning", 0..EVENTS).await;
        story
    }

    /// Publishes event after event of this number until the listener has one.
    async fn hears(&self, number: u128) {
        let heard = timeout(PATIENCE, async {
            for next in number.. {
                publish(&self.publisher, &[event(next, "other")]).await;
                sleep(POLL).await;
                if self.heard.0.lock().unwrap().0.range(number..).next().is_some() {
                    break;
                }
            }
        });
        heard.await.expect("the listener goes on");
    }

    /// All is well again, in the time answered, with nothing done for it.
    async fn goes_on(&self, what: &str) -> Duration {
        let began = Instant::now();
        let dealt = self.log.len();
        publish(&self.publisher, &batch(EVENTS..2 * EVENTS)).await;
        self.log.has(what, EVENTS..2 * EVENTS).await;
        let took = began.elapsed();
        self.log.assert_ordered(what);
        self.hears(THEN).await;
        let heard = self.heard.0.lock().unwrap().clone();
        let whole = (EVENTS..2 * EVENTS).all(|number| heard.0.contains(&number));
        assert!(whole || heard.1, "{what}: a listener missed events and was not told");
        self.all_take_part(what, dealt).await;
        self.lasts(what).await;
        took
    }

    /// It goes on, also when what the members had before is over.
    async fn lasts(&self, what: &str) {
        let (began, mut number) = (Instant::now(), 2 * LAST);
        while began.elapsed() < LASTING {
            publish(&self.publisher, &[event(number, &format!("y{}", number % 40))]).await;
            number += 1;
            sleep(10 * POLL).await;
        }
        self.log.has(what, 2 * LAST..number).await;
        self.log.assert_ordered(what);
    }

    /// Every member has partitions again.
    async fn all_take_part(&self, what: &str, dealt: usize) {
        let all = timeout(PATIENCE, async {
            for number in LAST.. {
                if self.log.members(dealt).len() == self.members {
                    break;
                }
                publish(&self.publisher, &[event(number, &format!("x{}", number % 40))]).await;
                sleep(POLL).await;
            }
        });
        assert!(all.await.is_ok(), "{what}: only {:?} of {} members go on", self.log.members(dealt), self.members);
    }

    /// Gives up on an event, which has to be stored as a dead letter.
    async fn buries(&self, what: &str, number: u128) {
        publish(&self.publisher, &[event(number, "bad")]).await;
        let found = timeout(PATIENCE, async {
            while self.letters.find(Uuid::from_u128(number)).await.map_or(0, |found| found.len()) == 0 {
                sleep(POLL).await;
            }
        });
        assert!(found.await.is_ok(), "{what}: no dead letter is stored");
    }
}

/// How long it took, for the table in the report of a run.
fn report<H: Home>(what: &str, members: usize, took: Duration) {
    eprintln!("recovered: {:?}, {what}, {members} members, after {:.1} s", H::SERVER, took.as_secs_f64());
}

pub(crate) async fn restart<H: Home>(members: usize) {
    let Some(mut server) = PrivateServer::start(H::SERVER).await else { return };
    let home = H::of(server.url(), "kennel");
    // A group of which no member is there.
    let (broker, _) = home.open(None).await;
    let late = Group::Shared("late".to_owned());
    drop(broker.subscribe(TOPIC, &late).await.unwrap());
    let story = Story::begin(&home, members).await;
    story.buries("before", BAD).await;
    server.restart().await;
    let took = story.goes_on("restart").await;
    report::<H>("restart", members, took);
    assert_eq!(story.letters.find(Uuid::from_u128(BAD)).await.unwrap().len(), 1, "dead letters stay");
    // What was published and not settled.
    let (log, mut running) = (Log::default(), JoinSet::new());
    running.spawn(log.clone().work(0, broker, late));
    log.has("what was not settled", 0..2 * EVENTS).await;
    log.assert_ordered("what was not settled");
}

pub(crate) async fn wipe<H: Home>(members: usize) {
    let Some(mut server) = PrivateServer::start(H::SERVER).await else { return };
    let home = H::of(server.url(), "kennel");
    let story = Story::begin(&home, members).await;
    story.buries("before", BAD).await;
    server.restart_empty().await;
    let took = story.goes_on("data wiped").await;
    report::<H>("data wiped", members, took);
    story.buries("data wiped", BAD + 1).await;
}

pub(crate) async fn object<H: Home>(members: usize) {
    let Some(server) = PrivateServer::start(H::SERVER).await else { return };
    // At the same time: each has a prefix of its own.
    let stories = H::OBJECTS.iter().enumerate().map(async |(number, object)| {
        let home = H::of(server.url(), &format!("t{number}"));
        let story = Story::begin(&home, members).await;
        story.buries(object, BAD).await;
        home.remove(object).await;
        let took = story.goes_on(object).await;
        report::<H>(&format!("{object} removed"), members, took);
        // The exchange is only the way to them.
        let stored = story.letters.list(None, 10).await.unwrap().len();
        assert_eq!(stored == 0, object.contains("dead") && !object.contains("exchange"), "{object}: {stored}");
        story.buries(object, BAD + 1).await;
    });
    join_all(stories).await;
}
