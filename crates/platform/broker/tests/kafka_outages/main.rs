//! A Kafka cluster that goes away and comes back, with or without what it had.
#![cfg(feature = "kafka")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../servers/kafka.rs"]
mod kafka;
#[path = "../servers/kafka_events.rs"]
mod kafka_events;
mod lasting;
mod removed;
mod restarts;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use kennel_broker::Broker as _;
use kennel_broker::kafka::{KafkaBroker, KafkaConfig};
use kennel_core::broker::BrokerError;
use kennel_core::{Group, Publisher as _, Subscriber as _, SystemClock};
use kennel_testkit::Mode;
use kennel_testkit::conformance::broker::DeadLetterReader as _;
use kennel_testkit::fault::kafka::KafkaProxy;

use self::kafka::{Cluster, IN_FLIGHT, Shown};
use self::kafka_events::{PATIENCE, event, eventually, join, next, nothing_more, number, settle};

/// A cluster, a proxy in front of it, and a broker behind the proxy.
async fn behind_relay() -> Option<(Cluster, KafkaProxy, KafkaBroker)> {
    let mut cluster = Cluster::find()?;
    let relay = KafkaProxy::new(&cluster.brokers).await;
    let mut config = cluster.config();
    config.brokers.clone_from(&relay.brokers);
    config.tuning.publish_timeout_ms = 1_500;
    let broker = cluster.broker_with(&config);
    Some((cluster, relay, broker))
}

fn is_unavailable<T>(outcome: &Result<T, BrokerError>) -> bool {
    matches!(outcome, Err(BrokerError::Unavailable(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishing_fails_while_the_cluster_is_away_and_goes_on_when_it_is_back() {
    for away in [Mode::Drop, Mode::BlackHole] {
        let Some((cluster, relay, broker)) = behind_relay().await else { return };
        let topic = cluster.topic.clone();
        let mut member = join(&broker, &topic, "g").await;
        broker.publish(&[event(&topic, 0, "rex")]).await.unwrap();
        assert_eq!(settle(&mut member, 1).await, [0]);
        relay.faults.set(away);
        let batch: Vec<_> = (1..20).map(|n| event(&topic, n, "rex")).collect();
        let published = tokio::time::timeout(PATIENCE, broker.publish(&batch)).await.expect("does not wait for ever");
        assert!(is_unavailable(&published));
        relay.faults.set(Mode::Pass);
        eventually("publishing works again", async || broker.publish(&batch).await.ok()).await;
        // Some may come twice, but none before those it was published behind.
        let mut latest = 0;
        while latest < 19 {
            let delivery = next(&mut member).await;
            assert!(number(&delivery) <= latest + 1, "{} behind {latest}", number(&delivery));
            latest = latest.max(number(&delivery));
            delivery.ack().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_goes_on_after_an_outage_and_its_settling_counts() {
    for away in [Mode::Drop, Mode::BlackHole] {
        let Some((mut cluster, relay, broker)) = behind_relay().await else { return };
        let (topic, direct) = (cluster.topic.clone(), cluster.broker());
        let key = |n: u128| format!("k{}", n % 3);
        let events = |range: std::ops::Range<u128>| range.map(|n| event(&topic, n, &key(n))).collect::<Vec<_>>();
        let mut member = join(&broker, &topic, "g").await;
        direct.publish(&events(0..6)).await.unwrap();
        let held = [next(&mut member).await, next(&mut member).await, next(&mut member).await];
        relay.faults.set(away);
        direct.publish(&events(6..30)).await.unwrap();
        for delivery in held {
            delivery.ack().await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        relay.faults.set(Mode::Pass);
        let mut by_key = BTreeMap::<_, Vec<_>>::new();
        for number in settle(&mut member, 27).await {
            by_key.entry(number % 3).or_default().push(number);
        }
        assert!(by_key.values().all(|numbers| numbers.is_sorted() && numbers.len() == 9), "{by_key:?}");
        drop(member);
        broker.close().await;
        nothing_more(&mut join(&direct, &topic, "g").await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_connection_breaks_undoes_no_later_one() {
    // The driver sends it again after a wait, which is longer after the second time.
    for cuts in [1, 2] {
        let Some((mut cluster, relay, broker)) = behind_relay().await else { return };
        let (topic, direct) = (cluster.topic.clone(), cluster.broker());
        let mut member = join(&broker, &topic, "g").await;
        direct.publish(&(0..20).map(|n| event(&topic, n, "rex")).collect::<Vec<_>>()).await.unwrap();
        relay.cut_commits(cuts);
        settle(&mut member, 10).await;
        relay.commits_to_cut(0).await;
        settle(&mut member, 10).await;
        broker.close().await;
        nothing_more(&mut join(&direct, &topic, "g").await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_member_loses_its_partitions_and_comes_back() {
    let Some((mut cluster, relay, broker)) = behind_relay().await else { return };
    let (topic, direct) = (cluster.topic.clone(), cluster.broker());
    let mut silent = join(&broker, &topic, "g").await;
    direct.publish(&[event(&topic, 1, "rex"), event(&topic, 2, "rex")]).await.unwrap();
    let held = next(&mut silent).await;
    relay.faults.set(Mode::BlackHole);
    let mut other = join(&direct, &topic, "g").await;
    assert_eq!(settle(&mut other, 2).await, [1, 2]);
    relay.faults.set(Mode::Pass);
    // Once it knows that the group has gone on without it, what it held is not its own any more.
    drop(other);
    direct.publish(&[event(&topic, 3, "rex")]).await.unwrap();
    let mut found = 0;
    while found < 3 {
        let delivery = next(&mut silent).await;
        found = number(&delivery);
        delivery.ack().await.ok();
    }
    assert!(held.ack().await.is_err(), "the partition has been elsewhere since");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_dead_letter_is_not_stored_comes_again() {
    let Some((mut cluster, relay, broker)) = behind_relay().await else { return };
    let topic = cluster.topic.clone();
    let mut member = join(&broker, &topic, "g").await;
    broker.publish(&[event(&topic, 1, "rex")]).await.unwrap();
    let delivery = next(&mut member).await;
    relay.faults.set(Mode::Drop);
    assert!(is_unavailable(&delivery.dead_letter("bad").await));
    relay.faults.set(Mode::Pass);
    let mut again = next(&mut member).await;
    while let Err(error) = { again.dead_letter("worse").await } {
        assert!(matches!(error, BrokerError::Unavailable(_)), "{error:?}");
        again = next(&mut member).await;
    }
    let letters = Shown(cluster.broker().dead_letters()).all().await;
    assert_eq!(letters.iter().map(|letter| letter.reason.as_str()).collect::<Vec<_>>(), ["worse"]);
    assert!(letters[0].attempts >= 2, "{letters:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_goes_on_after_an_outage() {
    let Some((mut cluster, relay, broker)) = behind_relay().await else { return };
    let (topic, direct) = (cluster.topic.clone(), cluster.broker());
    let mut listener = broker.subscribe(&topic, &Group::Broadcast).await.unwrap();
    direct.publish(&[event(&topic, 1, "rex")]).await.unwrap();
    assert_eq!(settle(&mut listener, 1).await, [1]);
    relay.faults.set(Mode::Drop);
    direct.publish(&[event(&topic, 2, "rex")]).await.unwrap();
    relay.faults.set(Mode::Pass);
    assert_eq!(settle(&mut listener, 1).await, [2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_follows_the_cluster() {
    let Some((_cluster, relay, broker)) = behind_relay().await else { return };
    broker.ping().await.unwrap();
    relay.faults.set(Mode::Drop);
    assert!(is_unavailable(&broker.ping().await));
    relay.faults.set(Mode::Pass);
    eventually("the cluster answers again", async || broker.ping().await.ok()).await;
}

#[tokio::test]
async fn a_cluster_that_is_not_there_fails_calls_in_time_but_not_connecting() {
    let mut config = KafkaConfig::at("127.0.0.1:9");
    config.tuning.publish_timeout_ms = 1_000;
    let in_flight = NonZeroUsize::new(IN_FLIGHT).unwrap();
    let broker = KafkaBroker::connect(&config, in_flight, Arc::new(SystemClock)).unwrap();
    let calls = async {
        assert!(is_unavailable(&broker.publish(&[event("t", 1, "rex")]).await));
        assert!(is_unavailable(&broker.subscribe("t", &Group::Shared("g".to_owned())).await));
        assert!(is_unavailable(&broker.subscribe("t", &Group::Broadcast).await));
        broker.close().await;
    };
    tokio::time::timeout(PATIENCE, calls).await.unwrap();
}
