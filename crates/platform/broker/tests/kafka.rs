//! Kafka: the conformance suite, and the behaviour of this adapter: partition assignment, commits and dead letters.
#![cfg(feature = "kafka")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "servers/kafka.rs"]
mod kafka;
#[path = "servers/kafka_events.rs"]
mod kafka_events;
#[path = "servers/lag.rs"]
mod lag;

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kennel_broker::kafka::{KafkaBroker, KafkaConfig, Route};
use kennel_broker::{Broker as _, ConnectError, Lag};
use kennel_core::broker::BrokerError;
use kennel_core::{
    DeadLetters as _, Event, EventFilter, Group, Publisher as _, Subscriber as _, SystemClock, Timestamp,
};
use kennel_testkit::conformance::broker::DeadLetterReader as _;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use self::kafka::{Cluster, DeadLetterList, IN_FLIGHT};
use self::kafka_events::{TEST_TIMEOUT, assert_nothing_more, event, eventually, join, next, number, settle};

mod conformance {
    use std::sync::Arc;

    use kennel_testkit::conformance::Fixture;
    use kennel_testkit::conformance::broker::BrokerUnderTest;

    use crate::kafka::{Cluster, DeadLetterList, IN_FLIGHT};

    #[expect(clippy::unused_async, reason = "the suite awaits setups")]
    async fn fresh() -> Option<Fixture<BrokerUnderTest>> {
        let mut cluster = Cluster::find()?;
        let broker = Arc::new(cluster.broker());
        let fixture = BrokerUnderTest {
            publisher: Arc::clone(&broker) as Arc<_>,
            dead_letters: Arc::new(DeadLetterList(broker.dead_letters())),
            lag: Arc::new(crate::lag::BrokerLag(Arc::clone(&broker) as Arc<_>)),
            subscriber: broker,
            topic: cluster.topic.clone(),
            in_flight: IN_FLIGHT,
        };
        Some(Fixture::with_resources(cluster, fixture))
    }

    kennel_testkit::broker_conformance!(fresh);
}

fn with_partitions(cluster: &Cluster, partitions: u16) -> KafkaConfig {
    let mut config = cluster.config();
    config.kafka_partitions = NonZeroU16::new(partitions).unwrap();
    config
}

/// Returns the records of a topic with one partition.
fn records(cluster: &Cluster, topic: &str) -> Vec<OwnedMessage> {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", &cluster.brokers).set("group.id", topic).set("enable.auto.commit", "false");
    let consumer: BaseConsumer = settings.create().unwrap();
    let (_, end) = consumer.fetch_watermarks(topic, 0, TEST_TIMEOUT).unwrap();
    let mut all = rdkafka::TopicPartitionList::new();
    all.add_partition_offset(topic, 0, rdkafka::Offset::Beginning).unwrap();
    consumer.assign(&all).unwrap();
    (0..end).map(|_| consumer.poll(TEST_TIMEOUT).unwrap().unwrap().detach()).collect()
}

fn header(record: &OwnedMessage, name: &str) -> String {
    let headers = record.headers().unwrap();
    let found = headers.iter().find(|header| header.key == name).unwrap_or_else(|| panic!("{name} is missing"));
    String::from_utf8(found.value.unwrap().to_vec()).unwrap()
}

/// A member that settles events until it is stopped, and records them.
async fn work(broker: KafkaBroker, topic: String, done: Arc<Mutex<Vec<u128>>>, mut stop: watch::Receiver<bool>) {
    let mut member = join(&broker, &topic, "g").await;
    loop {
        let next = tokio::select! {
            next = member.next() => next,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Some(Ok(delivery)) = next else { panic!("the broker is open") };
        done.lock().unwrap().push(number(&delivery));
        // Fails when the partition was reassigned: the event is redelivered to another member.
        delivery.ack().await.ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joining_and_leaving_members_lose_nothing_and_preserve_the_order_of_each_key() {
    const EVENTS: u128 = 1_200;
    const KEYS: u128 = 12;
    let Some(mut cluster) = Cluster::find() else { return };
    let config = with_partitions(&cluster, 4);
    let (publisher, topic) = (cluster.broker_with(&config), cluster.topic.clone());
    let done = Arc::new(Mutex::new(Vec::new()));
    let mut members = JoinSet::new();
    let mut add_member = |broker: KafkaBroker| {
        let (stop, stopped) = watch::channel(false);
        members.spawn(work(broker, topic.clone(), Arc::clone(&done), stopped));
        stop
    };
    let (one, two) = (cluster.broker_with(&config), cluster.broker_with(&config));
    let first = add_member(one.clone());
    let mut others = Vec::new();
    for start in (0..EVENTS).step_by(20) {
        let batch: Vec<_> = (start..start + 20).map(|n| event(&topic, n, &format!("k{}", n % KEYS))).collect();
        publisher.publish(&batch).await.unwrap();
        match start {
            200 | 900 => others.push(add_member(two.clone())),
            400 => others.push(add_member(one.clone())),
            700 => drop(others.remove(0).send(true)),
            1_000 => drop(first.send(true)),
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let everything = async || {
        let found: BTreeSet<_> = done.lock().unwrap().iter().copied().collect();
        (found.len() == EVENTS as usize).then_some(())
    };
    eventually("every event is settled", everything).await;
    let done = done.lock().unwrap().clone();
    let mut by_key = BTreeMap::<u128, Vec<u128>>::new();
    for number in done {
        let key = by_key.entry(number % KEYS).or_default();
        if !key.contains(&number) {
            key.push(number);
        }
    }
    assert!(by_key.values().all(|numbers| numbers.is_sorted()), "{by_key:?}");
}

#[tokio::test]
async fn a_second_member_receives_its_share_of_the_keys() {
    let Some(mut cluster) = Cluster::find() else { return };
    let (broker, topic) = (cluster.broker(), cluster.topic.clone());
    let (mut one, mut two) = (join(&broker, &topic, "g").await, join(&broker, &topic, "g").await);
    let (mut by_one, mut by_two, mut last) = (0, 0, 0);
    let joined = Instant::now();
    while by_one == 0 || by_two == 0 {
        let batch: Vec<_> = (0..8).map(|n| event(&topic, last + n, &format!("k{n}"))).collect();
        last += 8;
        assert!(joined.elapsed() < TEST_TIMEOUT, "one member receives every event: {by_one} and {by_two}");
        broker.publish(&batch).await.unwrap();
        for _ in 0..8 {
            let (count, delivery) = tokio::select! {
                delivery = one.next() => (&mut by_one, delivery),
                delivery = two.next() => (&mut by_two, delivery),
            };
            *count += 1;
            // Fails when the partition is being reassigned: the event is redelivered to the other member.
            delivery.unwrap().unwrap().ack().await.ok();
        }
    }
}

#[tokio::test]
async fn a_member_settles_its_deliveries_before_it_loses_a_partition() {
    let Some(mut cluster) = Cluster::find() else { return };
    let mut config = with_partitions(&cluster, 2);
    config.tuning.revoke_grace = Duration::from_secs(20);
    let (broker, topic) = (cluster.broker_with(&config), cluster.topic.clone());
    let batch: Vec<_> = (0..10).map(|n| event(&topic, n, &format!("k{n}"))).collect();
    broker.publish(&batch).await.unwrap();
    let mut one = join(&broker, &topic, "g").await;
    let mut unsettled = Vec::new();
    for _ in 0..10 {
        unsettled.push(next(&mut one).await);
    }
    let mut two = join(&broker, &topic, "g").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    for delivery in unsettled {
        delivery.ack().await.unwrap();
    }
    let batch: Vec<_> = (10..30).map(|n| event(&topic, n, &format!("k{n}"))).collect();
    broker.publish(&batch).await.unwrap();
    for _ in 0..20 {
        let delivery = tokio::select! { delivery = one.next() => delivery, delivery = two.next() => delivery };
        let delivery = delivery.unwrap().unwrap();
        assert!(number(&delivery) >= 10, "{} was redelivered", number(&delivery));
        delivery.ack().await.ok();
    }
}

#[tokio::test]
async fn nothing_after_an_unsettled_event_is_committed() {
    let Some(mut cluster) = Cluster::find() else { return };
    let config = with_partitions(&cluster, 1);
    let (broker, topic) = (cluster.broker_with(&config), cluster.topic.clone());
    broker.publish(&[event(&topic, 1, "a"), event(&topic, 2, "b"), event(&topic, 3, "c")]).await.unwrap();
    let mut member = join(&broker, &topic, "g").await;
    let unsettled = next(&mut member).await;
    assert_eq!(number(&unsettled), 1);
    assert_eq!(settle(&mut member, 2).await, [2, 3]);
    drop(member);
    assert!(unsettled.ack().await.is_err(), "the membership is over");
    let mut member = join(&broker, &topic, "g").await;
    assert_eq!(settle(&mut member, 3).await, [1, 2, 3]);
    drop(member);
    assert_nothing_more(&mut join(&broker, &topic, "g").await).await;
}

#[tokio::test]
async fn attempts_are_copied_to_another_member_of_the_process() {
    let Some(mut cluster) = Cluster::find() else { return };
    let config = with_partitions(&cluster, 1);
    let (broker, topic) = (cluster.broker_with(&config), cluster.topic.clone());
    broker.publish(&[event(&topic, 1, "rex")]).await.unwrap();
    let mut member = join(&broker, &topic, "g").await;
    next(&mut member).await.nack(Duration::ZERO).await.unwrap();
    let unsettled = next(&mut member).await;
    assert_eq!(unsettled.attempt, 2);
    drop(member);
    let mut member = join(&broker, &topic, "g").await;
    assert_eq!(next(&mut member).await.attempt, 3);
    let stranger = cluster.broker_with(&config);
    drop(member);
    let mut member = join(&stranger, &topic, "g").await;
    assert_eq!(next(&mut member).await.attempt, 1, "another process does not know them");
}

#[tokio::test]
async fn events_without_a_key_are_ordered_too() {
    let Some(mut cluster) = Cluster::find() else { return };
    let (broker, topic) = (cluster.broker(), cluster.topic.clone());
    let mut member = join(&broker, &topic, "g").await;
    for start in (0..60).step_by(6) {
        let batch: Vec<_> = (start..start + 6).map(|n| event(&topic, n, "")).collect();
        broker.publish(&batch).await.unwrap();
    }
    assert_eq!(settle(&mut member, 60).await, (0..60).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_unsettled_event_stops_reading_at_the_end_of_the_window() {
    let Some(mut cluster) = Cluster::find() else { return };
    let mut config = with_partitions(&cluster, 1);
    config.tuning.window = NonZeroUsize::new(8).unwrap();
    let (broker, topic) = (cluster.broker_with(&config), cluster.topic.clone());
    let key = |n: u128| if n == 0 { "unsettled".to_owned() } else { format!("k{n}") };
    broker.publish(&(0..60).map(|n| event(&topic, n, &key(n))).collect::<Vec<_>>()).await.unwrap();
    let mut member = join(&broker, &topic, "g").await;
    let unsettled = next(&mut member).await;
    assert_eq!(settle(&mut member, 7).await, (1..8).collect::<Vec<_>>());
    assert_nothing_more(&mut member).await;
    unsettled.ack().await.unwrap();
    assert_eq!(settle(&mut member, 52).await, (8..60).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_record_that_is_not_an_event_is_reported_once_and_skipped() {
    let Some(mut cluster) = Cluster::find() else { return };
    let config = with_partitions(&cluster, 1);
    let (broker, topic) = (cluster.broker_with(&config), cluster.topic.clone());
    let mut member = join(&broker, &topic, "g").await;
    let foreign: FutureProducer = ClientConfig::new().set("bootstrap.servers", &cluster.brokers).create().unwrap();
    foreign.send(FutureRecord::to(&topic).key("rex").payload("woof"), TEST_TIMEOUT).await.unwrap();
    broker.publish(&[event(&topic, 1, "rex")]).await.unwrap();
    let report = tokio::time::timeout(TEST_TIMEOUT, member.next()).await.unwrap().unwrap();
    let Err(BrokerError::Corrupt(source)) = report else { panic!("unexpected: {report:?}") };
    assert_eq!(source.to_string(), format!("record 0 of partition 0 of `{topic}` is not an event"));
    assert_eq!(settle(&mut member, 1).await, [1]);
    drop(member);
    assert_nothing_more(&mut join(&broker, &topic, "g").await).await;
}

#[tokio::test]
async fn dead_letter_records_name_their_origin() {
    let Some(mut cluster) = Cluster::find() else { return };
    let (broker, topic) = (cluster.broker_with(&with_partitions(&cluster, 1)), cluster.topic.clone());
    broker.publish(&[event(&topic, 1, "rex"), event(&topic, 2, "rex")]).await.unwrap();
    let mut member = join(&broker, &topic, "g").await;
    assert_eq!(settle(&mut member, 1).await, [1]);
    next(&mut member).await.dead_letter(&"too long ".repeat(1_000)).await.unwrap();
    let records = records(&cluster, &format!("{topic}.g.dlq"));
    let [record] = records.as_slice() else { panic!("one record, not {}", records.len()) };
    let key = format!("{} {topic}/0/1", Uuid::from_u128(2));
    assert_eq!(record.key().unwrap(), key.as_bytes(), "another delivery of the same event is another dead letter");
    assert_eq!(record.payload().unwrap(), event(&topic, 2, "rex").data);
    for (name, value) in [
        ("ce_type", "tests.happened"),
        ("dlq-topic", &topic),
        ("dlq-group", "g"),
        ("dlq-attempts", "1"),
        ("dlq-origin-topic", &topic),
        ("dlq-origin-partition", "0"),
        ("dlq-origin-offset", "1"),
    ] {
        assert_eq!(header(record, name), value, "{name}");
    }
    assert_eq!(header(record, "dlq-reason").len(), 4_096);
}

#[tokio::test]
async fn dead_letters_are_paged_found_replayed_and_discarded() {
    let Some(mut cluster) = Cluster::find() else { return };
    let (broker, topic) = (cluster.broker(), cluster.topic.clone());
    let (mut one, mut two) = (join(&broker, &topic, "one").await, join(&broker, &topic, "two").await);
    broker.publish(&(1..=4).map(|n| event(&topic, n, "rex")).collect::<Vec<_>>()).await.unwrap();
    for _ in 0..4 {
        next(&mut one).await.dead_letter("bad").await.unwrap();
    }
    assert_eq!(settle(&mut two, 3).await, [1, 2, 3]);
    next(&mut two).await.dead_letter("bad too").await.unwrap();

    // Like the command line: a process that is in no group.
    let dead_letters = cluster.broker().dead_letters();
    let page = async |after: Option<u128>, limit| {
        let page = dead_letters.list(after.map(Uuid::from_u128), limit).await.unwrap();
        page.into_iter().map(|dead_letter| (dead_letter.event.id.as_u128(), dead_letter.group)).collect::<Vec<_>>()
    };
    let dead_letter = |number: u128, group: &str| (number, group.to_owned());
    assert_eq!(page(None, 2).await, [dead_letter(1, "one"), dead_letter(2, "one")]);
    assert_eq!(page(Some(2), 10).await, [dead_letter(3, "one"), dead_letter(4, "one"), dead_letter(4, "two")]);
    assert_eq!(page(Some(4), 10).await, []);
    let found = dead_letters.find(Uuid::from_u128(4)).await.unwrap();
    assert_eq!(found.iter().map(|dead_letter| dead_letter.reason.as_str()).collect::<Vec<_>>(), ["bad", "bad too"]);
    assert_eq!(found[0].event, event(&topic, 4, "rex"));

    let now = Timestamp::from_millis(0).unwrap();
    assert!(dead_letters.replay(Uuid::from_u128(4), now).await.unwrap());
    assert_eq!((settle(&mut one, 1).await, settle(&mut two, 1).await), (vec![4], vec![4]));
    assert!(!dead_letters.replay(Uuid::from_u128(4), now).await.unwrap());
    assert!(dead_letters.discard(Uuid::from_u128(1)).await.unwrap());
    assert!(!dead_letters.discard(Uuid::from_u128(1)).await.unwrap());
    assert_eq!(page(None, 10).await, [dead_letter(2, "one"), dead_letter(3, "one")]);
    assert_eq!(DeadLetterList(broker.dead_letters()).all().await.len(), 2);
}

#[tokio::test]
async fn a_replayed_event_can_become_a_dead_letter_again() {
    let Some(mut cluster) = Cluster::find() else { return };
    let (broker, topic) = (cluster.broker(), cluster.topic.clone());
    let (mut member, dead_letters) = (join(&broker, &topic, "g").await, broker.dead_letters());
    broker.publish(&[event(&topic, 1, "rex")]).await.unwrap();
    next(&mut member).await.dead_letter("first").await.unwrap();
    assert!(dead_letters.replay(Uuid::from_u128(1), Timestamp::from_millis(0).unwrap()).await.unwrap());
    next(&mut member).await.dead_letter("second").await.unwrap();
    let found = dead_letters.list(None, 10).await.unwrap();
    assert_eq!(found.iter().map(|dead_letter| dead_letter.reason.as_str()).collect::<Vec<_>>(), ["second"]);
}

#[tokio::test]
async fn reports_the_lag_of_groups() {
    let Some(mut cluster) = Cluster::find() else { return };
    let (broker, topic) = (cluster.broker(), cluster.topic.clone());
    assert_eq!(broker.lag().await.unwrap(), []);
    let mut member = join(&broker, &topic, "g").await;
    broker.publish(&(0..5).map(|n| event(&topic, n, "rex")).collect::<Vec<_>>()).await.unwrap();
    let has_lag = async |events| {
        let lag = Lag { topic: topic.clone(), group: "g".to_owned(), events };
        (broker.lag().await.unwrap() == [lag]).then_some(())
    };
    eventually("five events are unsettled", async || has_lag(5).await).await;
    settle(&mut member, 2).await;
    eventually("three events are unsettled", async || has_lag(3).await).await;
    settle(&mut member, 3).await;
    eventually("no event is unsettled", async || has_lag(0).await).await;
}

#[tokio::test]
async fn an_event_with_a_route_goes_to_its_own_topic_and_to_those_who_read_its_topic() {
    let Some(mut cluster) = Cluster::find() else { return };
    let (topic, own) = (cluster.topic.clone(), format!("{}.born", cluster.topic));
    let mut config = with_partitions(&cluster, 1);
    config.routes = vec![Route { event: "tests.born".to_owned(), topic: topic.clone(), to: own.clone() }];
    let broker = cluster.broker_with(&config);
    let mut member = join(&broker, &topic, "g").await;
    let mut listener = broker.subscribe(&topic, &Group::Broadcast, &EventFilter::All).await.unwrap();
    let born = Event { name: "tests.born".to_owned(), ..event(&topic, 1, "rex") };
    broker.publish(&[born.clone(), event(&topic, 2, "rex")]).await.unwrap();
    for subscription in [&mut member, &mut listener] {
        let mut found = Vec::new();
        for _ in 0..2 {
            let delivery = next(subscription).await;
            found.push(Event::clone(&delivery.event));
            delivery.ack().await.unwrap();
        }
        found.sort_by_key(|event| event.id);
        assert_eq!(found, [born.clone(), event(&topic, 2, "rex")]);
    }
    assert_eq!((records(&cluster, &own).len(), records(&cluster, &topic).len()), (1, 1));
}

#[tokio::test]
async fn a_member_finds_a_topic_that_is_created_after_it_joined() {
    let Some(mut cluster) = Cluster::find() else { return };
    let (topic, own) = (cluster.topic.clone(), format!("{}.born", cluster.topic));
    let mut config = with_partitions(&cluster, 1);
    config.routes = vec![Route { event: "tests.born".to_owned(), topic: topic.clone(), to: own.clone() }];
    let (early, late) = (cluster.broker_with(&config), cluster.broker_with(&config));
    let born = |number| Event { name: "tests.born".to_owned(), ..event(&topic, number, "rex") };
    // From here on the publisher assumes that the topic exists, like any process that has not noticed the deletion yet.
    early.publish(&[born(1)]).await.unwrap();
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &cluster.brokers).create().unwrap();
    admin.delete_topics(&[&own], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    let is_deleted =
        || admin.inner().fetch_metadata(Some(&own), TEST_TIMEOUT).unwrap().topics()[0].partitions().is_empty();
    eventually("the topic is deleted", async || is_deleted().then_some(())).await;

    let mut member = join(&early, &topic, "g").await;
    late.publish(&[event(&topic, 2, "rex")]).await.unwrap();
    assert_eq!(settle(&mut member, 1).await, [2]);
    late.publish(&[born(3)]).await.unwrap();
    assert_eq!(settle(&mut member, 1).await, [3]);
}

#[tokio::test]
async fn close_commits_and_ends_every_waiting_call() {
    let Some(mut cluster) = Cluster::find() else { return };
    let (broker, topic) = (cluster.broker(), cluster.topic.clone());
    let mut member = join(&broker, &topic, "g").await;
    let mut listener = broker.subscribe(&topic, &Group::Broadcast, &EventFilter::All).await.unwrap();
    broker.publish(&[event(&topic, 1, "rex"), event(&topic, 2, "rex")]).await.unwrap();
    assert_eq!(settle(&mut member, 1).await, [1]);
    assert_eq!(settle(&mut listener, 2).await, [1, 2]);
    let unsettled = next(&mut member).await;
    let (member_ends, listener_ends, ()) = tokio::join!(member.next(), listener.next(), broker.close());
    assert!(member_ends.is_none() && listener_ends.is_none());
    assert!(unsettled.ack().await.is_err());
    for failed in [
        broker.publish(&[event(&topic, 3, "rex")]).await,
        broker.subscribe(&topic, &Group::Broadcast, &EventFilter::All).await.map(drop),
        broker.subscribe(&topic, &Group::Shared("g".to_owned()), &EventFilter::All).await.map(drop),
        broker.ping().await,
        broker.lag().await.map(drop),
    ] {
        assert!(matches!(failed, Err(BrokerError::Unavailable(_))), "{failed:?}");
    }
    let other = cluster.broker();
    assert_eq!(settle(&mut join(&other, &topic, "g").await, 1).await, [2]);
}

#[tokio::test]
async fn invalid_kafka_names_are_rejected() {
    let Some(mut cluster) = Cluster::find() else { return };
    let broker = cluster.broker();
    broker.ping().await.unwrap();
    let published = broker.publish(&[event("no topic", 1, "rex")]).await;
    assert!(matches!(published, Err(BrokerError::Backend(_))), "{published:?}");
    let joined =
        broker.subscribe(&cluster.topic, &Group::Shared("no group".to_owned()), &EventFilter::All).await.map(drop);
    assert!(matches!(joined, Err(BrokerError::Backend(_))), "{joined:?}");
}

#[test]
fn settings_with_problems_open_nothing() {
    let in_flight = NonZeroUsize::new(IN_FLIGHT).unwrap();
    let opened = KafkaBroker::connect(&KafkaConfig::default(), in_flight, Arc::new(SystemClock));
    let error = opened.map(drop).unwrap_err();
    assert!(matches!(error, ConnectError::Settings(_)), "{error:?}");
    assert_eq!(error.to_string(), "KAFKA_BROKERS (not set): must be host:port, several with commas");
}
