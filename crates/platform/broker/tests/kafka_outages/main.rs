//! A Kafka cluster that is unreachable and returns, with or without its data.
#![cfg(feature = "kafka")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../servers/kafka.rs"]
mod kafka;
#[path = "../servers/kafka_events.rs"]
mod kafka_events;
mod removed;
mod resilient;
mod restarts;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use kennel_broker::Broker as _;
use kennel_broker::kafka::{KafkaBroker, KafkaConfig};
use kennel_core::broker::BrokerError;
use kennel_core::{EventFilter, Group, Publisher as _, Subscriber as _, SystemClock};
use kennel_testkit::Mode;
use kennel_testkit::conformance::broker::DeadLetterReader as _;
use kennel_testkit::fault::kafka::KafkaProxy;

use self::kafka::{Cluster, DeadLetterList, IN_FLIGHT};
use self::kafka_events::{TEST_TIMEOUT, assert_nothing_more, event, eventually, join, next, number, settle};

/// Returns a cluster, a proxy in front of it, and a broker that connects through the proxy.
async fn proxied_broker() -> Option<(Cluster, KafkaProxy, KafkaBroker)> {
    let mut cluster = Cluster::find()?;
    let proxy = KafkaProxy::new(&cluster.brokers).await;
    let mut config = cluster.config();
    config.kafka_brokers = Some(proxy.brokers.clone());
    config.tuning.publish_timeout = Duration::from_millis(1_500);
    let broker = cluster.broker_with(&config);
    Some((cluster, proxy, broker))
}

fn is_unavailable<T>(outcome: &Result<T, BrokerError>) -> bool {
    matches!(outcome, Err(BrokerError::Unavailable(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishing_fails_while_the_cluster_is_unreachable_and_works_again_after() {
    for fault in [Mode::Drop, Mode::BlackHole] {
        let Some((cluster, proxy, broker)) = proxied_broker().await else { return };
        let topic = cluster.topic.clone();
        let mut member = join(&broker, &topic, "g").await;
        broker.publish(&[event(&topic, 0, "rex")]).await.unwrap();
        assert_eq!(settle(&mut member, 1).await, [0]);
        proxy.faults.set(fault);
        let batch: Vec<_> = (1..20).map(|n| event(&topic, n, "rex")).collect();
        let published = tokio::time::timeout(TEST_TIMEOUT, broker.publish(&batch)).await.expect("publishing ends");
        assert!(is_unavailable(&published));
        proxy.faults.set(Mode::Pass);
        eventually("publishing works again", async || broker.publish(&batch).await.ok()).await;
        // Some may be delivered twice, but none before earlier ones.
        let mut latest = 0;
        while latest < 19 {
            let delivery = next(&mut member).await;
            assert!(number(&delivery) <= latest + 1, "{} after {latest}", number(&delivery));
            latest = latest.max(number(&delivery));
            delivery.ack().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_continues_after_an_outage_and_its_acks_count() {
    for fault in [Mode::Drop, Mode::BlackHole] {
        let Some((mut cluster, proxy, broker)) = proxied_broker().await else { return };
        let (topic, direct) = (cluster.topic.clone(), cluster.broker());
        let key = |n: u128| format!("k{}", n % 3);
        let events = |range: std::ops::Range<u128>| range.map(|n| event(&topic, n, &key(n))).collect::<Vec<_>>();
        let mut member = join(&broker, &topic, "g").await;
        direct.publish(&events(0..6)).await.unwrap();
        let unsettled = [next(&mut member).await, next(&mut member).await, next(&mut member).await];
        proxy.faults.set(fault);
        direct.publish(&events(6..30)).await.unwrap();
        for delivery in unsettled {
            delivery.ack().await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        proxy.faults.set(Mode::Pass);
        let mut by_key = BTreeMap::<_, Vec<_>>::new();
        for number in settle(&mut member, 27).await {
            by_key.entry(number % 3).or_default().push(number);
        }
        assert!(by_key.values().all(|numbers| numbers.is_sorted() && numbers.len() == 9), "{by_key:?}");
        drop(member);
        broker.close().await;
        assert_nothing_more(&mut join(&direct, &topic, "g").await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_with_a_broken_connection_undoes_no_later_one() {
    // The driver resends it after a delay, which is longer the second time.
    for cuts in [1, 2] {
        let Some((mut cluster, proxy, broker)) = proxied_broker().await else { return };
        let (topic, direct) = (cluster.topic.clone(), cluster.broker());
        let mut member = join(&broker, &topic, "g").await;
        direct.publish(&(0..20).map(|n| event(&topic, n, "rex")).collect::<Vec<_>>()).await.unwrap();
        proxy.cut_commits(cuts);
        settle(&mut member, 10).await;
        proxy.commits_to_cut(0).await;
        settle(&mut member, 10).await;
        broker.close().await;
        assert_nothing_more(&mut join(&direct, &topic, "g").await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_member_loses_its_partitions_and_comes_back() {
    let Some((mut cluster, proxy, broker)) = proxied_broker().await else { return };
    let (topic, direct) = (cluster.topic.clone(), cluster.broker());
    let mut silent = join(&broker, &topic, "g").await;
    direct.publish(&[event(&topic, 1, "rex"), event(&topic, 2, "rex")]).await.unwrap();
    let unsettled = next(&mut silent).await;
    proxy.faults.set(Mode::BlackHole);
    let mut other = join(&direct, &topic, "g").await;
    assert_eq!(settle(&mut other, 2).await, [1, 2]);
    proxy.faults.set(Mode::Pass);
    // When it learns that its assignment was lost, it no longer owns its unsettled deliveries.
    drop(other);
    direct.publish(&[event(&topic, 3, "rex")]).await.unwrap();
    let mut found = 0;
    while found < 3 {
        let delivery = next(&mut silent).await;
        found = number(&delivery);
        delivery.ack().await.ok();
    }
    assert!(unsettled.ack().await.is_err(), "the partition was reassigned");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_dead_letter_is_not_stored_is_redelivered() {
    let Some((mut cluster, proxy, broker)) = proxied_broker().await else { return };
    let topic = cluster.topic.clone();
    let mut member = join(&broker, &topic, "g").await;
    broker.publish(&[event(&topic, 1, "rex")]).await.unwrap();
    let delivery = next(&mut member).await;
    proxy.faults.set(Mode::Drop);
    assert!(is_unavailable(&delivery.dead_letter("bad").await));
    proxy.faults.set(Mode::Pass);
    let mut again = next(&mut member).await;
    while let Err(error) = { again.dead_letter("worse").await } {
        assert!(matches!(error, BrokerError::Unavailable(_)), "{error:?}");
        again = next(&mut member).await;
    }
    let dead_letters = DeadLetterList(cluster.broker().dead_letters()).all().await;
    assert_eq!(dead_letters.iter().map(|dead_letter| dead_letter.reason.as_str()).collect::<Vec<_>>(), ["worse"]);
    assert!(dead_letters[0].attempts >= 2, "{dead_letters:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_continues_after_an_outage() {
    let Some((mut cluster, proxy, broker)) = proxied_broker().await else { return };
    let (topic, direct) = (cluster.topic.clone(), cluster.broker());
    let mut listener = broker.subscribe(&topic, &Group::Broadcast, &EventFilter::All).await.unwrap();
    direct.publish(&[event(&topic, 1, "rex")]).await.unwrap();
    assert_eq!(settle(&mut listener, 1).await, [1]);
    proxy.faults.set(Mode::Drop);
    direct.publish(&[event(&topic, 2, "rex")]).await.unwrap();
    proxy.faults.set(Mode::Pass);
    assert_eq!(settle(&mut listener, 1).await, [2]);
}

/// Longer than a second for each request and its response.
const SLOW: Mode = Mode::Delay(Duration::from_millis(600));

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_continues_over_a_slow_connection() {
    for outage in [None, Some(Mode::Drop)] {
        let Some((mut cluster, proxy, broker)) = proxied_broker().await else { return };
        let (topic, direct) = (cluster.topic.clone(), cluster.broker());
        let mut listener = broker.subscribe(&topic, &Group::Broadcast, &EventFilter::All).await.unwrap();
        direct.publish(&[event(&topic, 1, "rex")]).await.unwrap();
        assert_eq!(settle(&mut listener, 1).await, [1]);
        if let Some(outage) = outage {
            proxy.faults.set(outage);
            direct.publish(&[event(&topic, 2, "rex")]).await.unwrap();
            // Until the client has lost its connection.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        proxy.faults.set(SLOW);
        // Longer than the interval between the checks of the topics.
        for number in 3..10 {
            direct.publish(&[event(&topic, number, "rex")]).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let expected: Vec<_> = if outage.is_some() { (2..10).collect() } else { (3..10).collect() };
        assert_eq!(settle(&mut listener, expected.len()).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_with_a_full_window_continues_over_a_slow_connection() {
    let Some(mut cluster) = Cluster::find() else { return };
    let proxy = KafkaProxy::new(&cluster.brokers).await;
    let (topic, direct) = (cluster.topic.clone(), cluster.broker());
    let mut config = cluster.config();
    config.kafka_brokers = Some(proxy.brokers.clone());
    config.tuning.window = NonZeroUsize::new(10).unwrap();
    let broker = cluster.broker_with(&config);
    let mut member = join(&broker, &topic, "g").await;
    direct.publish(&[event(&topic, 0, "rex")]).await.unwrap();
    assert_eq!(settle(&mut member, 1).await, [0]);
    proxy.faults.set(SLOW);
    direct.publish(&(1..40).map(|n| event(&topic, n, "rex")).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(settle(&mut member, 39).await, (1..40).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_follows_the_cluster() {
    let Some((_cluster, proxy, broker)) = proxied_broker().await else { return };
    broker.ping().await.unwrap();
    proxy.faults.set(Mode::Drop);
    assert!(is_unavailable(&broker.ping().await));
    proxy.faults.set(Mode::Pass);
    eventually("the cluster responds again", async || broker.ping().await.ok()).await;
}

#[tokio::test]
async fn an_unreachable_cluster_fails_calls_in_time_but_not_connecting() {
    let mut config = KafkaConfig::at("127.0.0.1:9");
    config.tuning.publish_timeout = Duration::from_secs(1);
    let in_flight = NonZeroUsize::new(IN_FLIGHT).unwrap();
    let broker = KafkaBroker::connect(&config, in_flight, Arc::new(SystemClock)).unwrap();
    let calls = async {
        assert!(is_unavailable(&broker.publish(&[event("t", 1, "rex")]).await));
        assert!(is_unavailable(&broker.subscribe("t", &Group::Shared("g".to_owned()), &EventFilter::All).await));
        assert!(is_unavailable(&broker.subscribe("t", &Group::Broadcast, &EventFilter::All).await));
        broker.close().await;
    };
    tokio::time::timeout(TEST_TIMEOUT, calls).await.unwrap();
}
