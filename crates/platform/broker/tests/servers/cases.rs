//! Cases of every broker server: outages, joining and leaving members, and dead letters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kennel_broker::{Broker, Lag};
use kennel_core::broker::BrokerError;
use kennel_core::{Delivery, Event, EventFilter, Group, Subscription, Timestamp, TraceContext};
use kennel_testkit::{FaultProxy, Mode};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::{ServerNamespace, TOPIC};

/// Upper bound of every step on a busy machine.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_mins(1);
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// Expands to one test per case over `$home`.
macro_rules! server_cases {
    ($namespace:ty: $($case:ident)+) => { $(
        #[tokio::test]
        async fn $case() {
            if let Some(namespace) = <$namespace as $crate::ServerNamespace>::new() {
                $crate::cases::$case(&namespace).await;
            }
        }
    )+ };
    ($namespace:ty) => { $crate::cases::server_cases! { $namespace:
        starts_without_a_server
        continues_after_an_outage
        redelivers_unsettled_events_after_an_outage
        broadcast_continues_after_an_outage
        publish_fails_when_the_server_does_not_answer
        preserves_order_while_members_join_and_leave
        shares_partitions_with_a_second_process
        takes_over_from_a_process_that_is_cut_off
        ends_subscriptions_when_closed
        finds_and_discards_dead_letters
        replays_dead_letters
        pages_through_dead_letters
        reports_its_lag
        the_first_group_receives_earlier_events
        continues_after_a_message_that_is_not_an_event
    } };
}
pub(crate) use server_cases;

pub(crate) fn event(number: u128, key: &str) -> Event {
    Event {
        id: Uuid::from_u128(number),
        name: "tests.happened".to_owned(),
        source: "/tests".to_owned(),
        topic: TOPIC.to_owned(),
        key: key.to_owned(),
        time: at(7),
        content_type: "application/json".to_owned(),
        data: format!(r#"{{"number":{number}}}"#).into(),
        trace: None,
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis).unwrap()
}

async fn join(broker: &Arc<dyn Broker>) -> Box<dyn Subscription> {
    broker.subscribe(TOPIC, &Group::Shared("g".to_owned()), &EventFilter::All).await.unwrap()
}

async fn next(subscription: &mut Box<dyn Subscription>) -> Delivery {
    let next = timeout(TEST_TIMEOUT, subscription.next()).await.expect("a delivery arrives");
    next.expect("the broker is open").unwrap()
}

/// Acknowledges the next event; `None` when that failed, and it is redelivered.
async fn settle_next(subscription: &mut Box<dyn Subscription>) -> Option<u128> {
    let delivery = next(subscription).await;
    let number = delivery.event.id.as_u128();
    delivery.ack().await.is_ok().then_some(number)
}

/// Publishes until it succeeds, like the relay.
pub(crate) async fn publish(broker: &Arc<dyn Broker>, batch: &[Event]) {
    let published = timeout(TEST_TIMEOUT, async {
        while broker.publish(batch).await.is_err() {
            sleep(POLL).await;
        }
    });
    published.await.expect("publishing succeeds eventually");
}

/// Drops every connection, and accepts none for a while.
async fn outage(proxy: &FaultProxy, resilient: Duration) {
    proxy.set(Mode::Drop);
    sleep(resilient).await;
    proxy.set(Mode::Pass);
}

pub(crate) async fn starts_without_a_server<H: ServerNamespace>(namespace: &H) {
    let proxy = FaultProxy::new(namespace.server()).await;
    proxy.set(Mode::Drop);
    let (broker, _) = timeout(TEST_TIMEOUT, namespace.open(Some(proxy.address()))).await.unwrap();
    let pinged = timeout(TEST_TIMEOUT, broker.ping()).await.unwrap();
    assert!(matches!(pinged, Err(BrokerError::Unavailable(_))), "{pinged:?}");
    let published = timeout(TEST_TIMEOUT, broker.publish(&[event(1, "rex")])).await.unwrap();
    assert!(matches!(published, Err(BrokerError::Unavailable(_))), "{published:?}");
    proxy.set(Mode::Pass);
    publish(&broker, &[event(1, "rex")]).await;
    broker.ping().await.unwrap();
}

pub(crate) async fn continues_after_an_outage<H: ServerNamespace>(namespace: &H) {
    let proxy = FaultProxy::new(namespace.server()).await;
    let (broker, _) = namespace.open(Some(proxy.address())).await;
    let mut group = join(&broker).await;
    for round in 0..3 {
        publish(&broker, &[event(round, "rex")]).await;
        while settle_next(&mut group).await != Some(round) {}
        outage(&proxy, Duration::from_millis(300)).await;
    }
}

pub(crate) async fn redelivers_unsettled_events_after_an_outage<H: ServerNamespace>(namespace: &H) {
    let proxy = FaultProxy::new(namespace.server()).await;
    let (broker, _) = namespace.open(Some(proxy.address())).await;
    let mut group = join(&broker).await;
    let (other, _) = namespace.open(None).await;
    publish(&other, &[event(1, "rex"), event(2, "rex"), event(3, "bello")]).await;
    let unsettled = next(&mut group).await;
    outage(&proxy, Duration::from_millis(300)).await;
    drop(unsettled);
    let mut settled = Vec::new();
    while settled.iter().collect::<BTreeSet<_>>().len() < 3 {
        settled.extend(settle_next(&mut group).await);
    }
    let first = |number| settled.iter().position(|found| *found == number).unwrap();
    assert!(first(1) < first(2), "{settled:?}");
}

pub(crate) async fn broadcast_continues_after_an_outage<H: ServerNamespace>(namespace: &H) {
    let proxy = FaultProxy::new(namespace.server()).await;
    let (broker, _) = namespace.open(Some(proxy.address())).await;
    let mut listener = broker.subscribe(TOPIC, &Group::Broadcast, &EventFilter::All).await.unwrap();
    let (other, _) = namespace.open(None).await;
    publish(&other, &[event(1, "rex")]).await;
    assert_eq!(next(&mut listener).await.event.id.as_u128(), 1);
    proxy.set(Mode::Drop);
    publish(&other, &[event(2, "rex")]).await;
    proxy.set(Mode::Pass);
    publish(&other, &[event(3, "rex")]).await;
    let mut found = Vec::new();
    while !found.contains(&3) {
        found.push(next(&mut listener).await.event.id.as_u128());
    }
    found.dedup();
    assert!(found == [2, 3] || found == [1, 2, 3], "{found:?}");
}

pub(crate) async fn publish_fails_when_the_server_does_not_answer<H: ServerNamespace>(namespace: &H) {
    let proxy = FaultProxy::new(namespace.server()).await;
    let (broker, _) = namespace.open(Some(proxy.address())).await;
    publish(&broker, &[event(1, "rex")]).await;
    proxy.set(Mode::BlackHole);
    let began = Instant::now();
    let published = timeout(TEST_TIMEOUT, broker.publish(&[event(2, "rex")])).await.expect("publishing ends");
    assert!(matches!(published, Err(BrokerError::Unavailable(_))), "{published:?}");
    assert!(began.elapsed() < Duration::from_secs(30));
    proxy.set(Mode::Pass);
    publish(&broker, &[event(2, "rex")]).await;
}

/// The events that members have settled, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(String, u128)>>>);

impl Log {
    fn distinct(&self) -> usize {
        self.0.lock().unwrap().iter().map(|(_, number)| *number).collect::<BTreeSet<_>>().len()
    }

    /// Events are redelivered after a failure, but none may first be delivered before an older one.
    fn assert_ordered(&self) {
        let mut by_key = BTreeMap::<_, Vec<_>>::new();
        for (key, number) in self.0.lock().unwrap().iter() {
            let seen = by_key.entry(key.clone()).or_default();
            if !seen.contains(number) {
                seen.push(*number);
            }
        }
        assert!(by_key.values().all(|seen| seen.is_sorted()), "{by_key:?}");
    }

    /// Settles events, rejects some, and leaves after `limit` deliveries.
    async fn work(self, broker: Arc<dyn Broker>, limit: usize) {
        let mut member = join(&broker).await;
        for _ in 0..limit {
            let Some(Ok(delivery)) = member.next().await else { return };
            let number = delivery.event.id.as_u128();
            if number % 11 == 3 && delivery.attempt == 1 {
                delivery.nack(Duration::from_millis(5)).await.ok();
                continue;
            }
            self.0.lock().unwrap().push((delivery.event.key.clone(), number));
            delivery.ack().await.ok();
        }
    }
}

pub(crate) async fn preserves_order_while_members_join_and_leave<H: ServerNamespace>(namespace: &H) {
    const EVENTS: u128 = 400;
    let (publisher, _) = namespace.open(None).await;
    drop(join(&publisher).await);
    let (log, mut members) = (Log::default(), JoinSet::new());
    for limit in [60, 90, usize::MAX] {
        let (broker, _) = namespace.open(None).await;
        members.spawn(log.clone().work(broker, limit));
    }
    for start in (0..EVENTS).step_by(40) {
        let batch: Vec<_> = (start..start + 40).map(|number| event(number, &format!("k{}", number % 13))).collect();
        publish(&publisher, &batch).await;
        sleep(Duration::from_millis(50)).await;
        if start == 200 {
            let (broker, _) = namespace.open(None).await;
            members.spawn(log.clone().work(broker, usize::MAX));
        }
    }
    let done = timeout(TEST_TIMEOUT, async {
        while log.distinct() < EVENTS as usize {
            sleep(POLL).await;
        }
    });
    done.await.unwrap_or_else(|_| panic!("{} of {EVENTS} events", log.distinct()));
    members.shutdown().await;
    log.assert_ordered();
}

pub(crate) async fn shares_partitions_with_a_second_process<H: ServerNamespace>(namespace: &H) {
    let (first, _) = namespace.open(None).await;
    let (second, _) = namespace.open(None).await;
    let (mut one, mut other) = (join(&first).await, join(&second).await);
    let shared = timeout(TEST_TIMEOUT, async {
        let (mut number, mut by_one, mut by_other) = (0, false, false);
        while !(by_one && by_other) {
            first.publish(&[event(number, &format!("k{}", number % 40))]).await.unwrap();
            tokio::select! {
                found = one.next() => { by_one = true; found.unwrap().unwrap().ack().await.ok(); }
                found = other.next() => { by_other = true; found.unwrap().unwrap().ack().await.ok(); }
            }
            number += 1;
        }
    });
    shared.await.expect("both members receive events");
}

pub(crate) async fn takes_over_from_a_process_that_is_cut_off<H: ServerNamespace>(namespace: &H) {
    let proxy = FaultProxy::new(namespace.server()).await;
    let (doomed, _) = namespace.open(Some(proxy.address())).await;
    let mut one = join(&doomed).await;
    let (healthy, _) = namespace.open(None).await;
    publish(&healthy, &[event(1, "rex"), event(2, "rex")]).await;
    let unsettled = next(&mut one).await;
    assert_eq!(unsettled.event.id.as_u128(), 1);
    proxy.set(Mode::Drop);
    let mut other = join(&healthy).await;
    for number in [1, 2] {
        while settle_next(&mut other).await != Some(number) {}
    }
    let late = timeout(TEST_TIMEOUT, unsettled.ack()).await.expect("settling ends");
    assert!(late.is_err(), "another member has settled it");
}

pub(crate) async fn ends_subscriptions_when_closed<H: ServerNamespace>(namespace: &H) {
    let (broker, _) = namespace.open(None).await;
    let (mut group, mut listener) =
        (join(&broker).await, broker.subscribe(TOPIC, &Group::Broadcast, &EventFilter::All).await.unwrap());
    publish(&broker, &[event(1, "rex"), event(2, "rex")]).await;
    let unsettled = next(&mut group).await;
    timeout(TEST_TIMEOUT, broker.close()).await.expect("closing ends");
    assert!(timeout(TEST_TIMEOUT, group.next()).await.unwrap().is_none());
    assert!(timeout(TEST_TIMEOUT, listener.next()).await.unwrap().is_none());
    assert!(unsettled.ack().await.is_err());
    assert!(broker.publish(&[event(3, "rex")]).await.is_err());
    assert!(broker.ping().await.is_err());
    let (other, _) = namespace.open(None).await;
    let mut group = join(&other).await;
    for number in [1, 2] {
        assert_eq!(settle_next(&mut group).await, Some(number));
    }
}

/// Makes an event a dead letter of the group.
async fn give_up(group: &mut Box<dyn Subscription>, number: u128, reason: &str) {
    let delivery = next(group).await;
    assert_eq!(delivery.event.id.as_u128(), number);
    delivery.dead_letter(reason).await.unwrap();
}

pub(crate) async fn finds_and_discards_dead_letters<H: ServerNamespace>(namespace: &H) {
    let (broker, dead_letters) = namespace.open(None).await;
    let mut group = join(&broker).await;
    assert_eq!(dead_letters.list(None, 10).await.unwrap(), []);
    let trace = Some(TraceContext { traceparent: "00-1-2-01".to_owned(), tracestate: None });
    let published = Event { trace, data: "no json".into(), ..event(7, "h\u{fc}tte") };
    publish(&broker, std::slice::from_ref(&published)).await;
    give_up(&mut group, 7, "no such file: '\u{fc}'\r\nat line 2").await;
    let found = dead_letters.find(published.id).await.unwrap();
    let [dead_letter] = found.as_slice() else { panic!("one dead letter, not {found:?}") };
    assert_eq!(dead_letter.event, published);
    assert_eq!((dead_letter.group.as_str(), dead_letter.attempts), ("g", 1));
    assert_eq!(dead_letter.reason, "no such file: '\u{fc}'\r\nat line 2");
    assert_eq!(dead_letters.list(None, 10).await.unwrap(), found);
    assert!(!dead_letters.discard(Uuid::from_u128(8)).await.unwrap());
    assert!(dead_letters.discard(published.id).await.unwrap());
    assert!(!dead_letters.discard(published.id).await.unwrap());
    assert_eq!(dead_letters.list(None, 10).await.unwrap(), []);
    assert_eq!(dead_letters.find(published.id).await.unwrap(), []);
}

pub(crate) async fn replays_dead_letters<H: ServerNamespace>(namespace: &H) {
    let (broker, dead_letters) = namespace.open(None).await;
    let mut group = join(&broker).await;
    publish(&broker, &[event(1, "rex"), event(2, "bello")]).await;
    for _ in 0..2 {
        next(&mut group).await.dead_letter("bad").await.unwrap();
    }
    for time in 0..2 {
        assert!(dead_letters.replay(Uuid::from_u128(1), at(time)).await.unwrap());
        let again = next(&mut group).await;
        assert_eq!((&*again.event, again.attempt), (&event(1, "rex"), 1));
        again.dead_letter("still bad").await.unwrap();
    }
    let found = dead_letters.list(None, 10).await.unwrap();
    let reasons: Vec<_> = found.iter().map(|dead_letter| dead_letter.reason.as_str()).collect();
    assert_eq!(reasons, ["still bad", "bad"]);
    assert!(!dead_letters.replay(Uuid::from_u128(3), at(0)).await.unwrap());
}

pub(crate) async fn pages_through_dead_letters<H: ServerNamespace>(namespace: &H) {
    let (broker, dead_letters) = namespace.open(None).await;
    let mut group = join(&broker).await;
    for number in [3, 1, 5, 2, 4] {
        publish(&broker, &[event(number, "rex")]).await;
        give_up(&mut group, number, "bad").await;
    }
    let page = |after: Option<u128>| {
        let dead_letters = Arc::clone(&dead_letters);
        async move {
            let page = dead_letters.list(after.map(Uuid::from_u128), 2).await.unwrap();
            page.iter().map(|dead_letter| dead_letter.event.id.as_u128()).collect::<Vec<_>>()
        }
    };
    assert_eq!(page(None).await, [1, 2]);
    assert_eq!(page(Some(2)).await, [3, 4]);
    assert_eq!(page(Some(4)).await, [5]);
    assert_eq!(page(Some(5)).await, [] as [u128; 0]);
}

pub(crate) async fn reports_its_lag<H: ServerNamespace>(namespace: &H) {
    let (broker, _) = namespace.open(None).await;
    assert_eq!(broker.lag().await.unwrap(), []);
    let mut group = join(&broker).await;
    let lag = |events| vec![Lag { topic: TOPIC.to_owned(), group: "g".to_owned(), events }];
    assert_eq!(broker.lag().await.unwrap(), lag(0));
    publish(&broker, &[event(1, "rex")]).await;
    while settle_next(&mut group).await != Some(1) {}
    let settled = timeout(TEST_TIMEOUT, async {
        while broker.lag().await.unwrap() != lag(0) {
            sleep(POLL).await;
        }
    });
    settled.await.expect("no event is unsettled");
    drop(group);
    let left = timeout(TEST_TIMEOUT, async {
        while !broker.lag().await.unwrap().is_empty() {
            sleep(POLL).await;
        }
    });
    left.await.expect("the group has no members");
}

pub(crate) async fn the_first_group_receives_earlier_events<H: ServerNamespace>(namespace: &H) {
    let (broker, _) = namespace.open(None).await;
    publish(&broker, &[event(1, "rex"), event(2, "rex"), event(3, "bello")]).await;
    let mut group = join(&broker).await;
    let mut found = Vec::new();
    while found.len() < 3 {
        found.extend(settle_next(&mut group).await);
    }
    let first = |number| found.iter().position(|found| *found == number).unwrap();
    assert!(first(1) < first(2) && found.contains(&3), "{found:?}");
}

pub(crate) async fn continues_after_a_message_that_is_not_an_event<H: ServerNamespace>(namespace: &H) {
    let (broker, _) = namespace.open(None).await;
    let (mut group, mut listener) =
        (join(&broker).await, broker.subscribe(TOPIC, &Group::Broadcast, &EventFilter::All).await.unwrap());
    namespace.send_invalid_message().await;
    publish(&broker, &(1..=40).map(|number| event(number, &format!("k{number}"))).collect::<Vec<_>>()).await;
    for subscription in [&mut group, &mut listener] {
        let (mut events, mut corrupt) = (BTreeSet::new(), 0);
        while events.len() < 40 || corrupt < 1 {
            match timeout(TEST_TIMEOUT, subscription.next()).await.unwrap().unwrap() {
                Ok(delivery) => {
                    assert!(events.insert(delivery.event.id));
                    delivery.ack().await.unwrap();
                }
                Err(BrokerError::Corrupt(_)) => corrupt += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    assert!(timeout(Duration::from_millis(100), group.next()).await.is_err(), "it is reported once");
}
