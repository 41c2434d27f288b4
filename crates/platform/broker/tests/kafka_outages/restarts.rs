//! A private cluster that is restarted, with and without its data.

use std::time::Duration;

use kennel_broker::Broker as _;
use kennel_core::broker::BrokerError;
use kennel_core::{EventFilter, Group, Publisher as _, Subscriber as _};
use kennel_testkit::conformance::broker::DeadLetterReader as _;
use kennel_testkit::fault::kafka::KafkaProxy;
use kennel_testkit::{Mode, PrivateServer, Server};
use tokio::time::{Instant, sleep, timeout};

use crate::kafka::{Cluster, DeadLetterList};
use crate::kafka_events::{self, TEST_TIMEOUT, event, eventually};
use crate::resilient::{RECOVERY_LIMIT, ResilientSubscriber, publish, settle};

/// Publishes these events until the subscriptions have received them.
async fn received(listeners: &mut [ResilientSubscriber], numbers: std::ops::Range<u128>) {
    let (publisher, topic) = (listeners[0].broker.clone(), listeners[0].topic().to_owned());
    let again = async {
        loop {
            publish(&publisher, &topic, numbers.clone()).await;
            sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        () = settle(listeners, numbers.clone()) => {}
        () = again => {}
    }
}

async fn recovers(members: usize, is_wiped: bool) {
    let Some(mut server) = PrivateServer::start(Server::Kafka).await else { return };
    let mut cluster = Cluster::at(&server.url(), "tests", None);
    let topic = cluster.topic.clone();
    let publisher = cluster.broker();
    let mut group = Vec::new();
    for _ in 0..members {
        group.push(ResilientSubscriber::member(cluster.broker(), &topic).await);
    }
    let mut listeners = [ResilientSubscriber::new(cluster.broker(), &topic, Group::Broadcast).await];
    publish(&publisher, &topic, 0..30).await;
    settle(&mut group, 0..30).await;
    settle(&mut listeners, 0..30).await;
    let mut start = 30;
    // The second time, leader epochs are higher than those of a new topic.
    for round in 0..2 {
        if is_wiped && round == 1 {
            server.restart_empty().await;
        } else {
            server.restart().await;
        }
        let began = Instant::now();
        publish(&publisher, &topic, start..start + 6).await;
        println!("{members} members, wiped {}: published after {:?}", is_wiped && round == 1, began.elapsed());
        settle(&mut group, start..start + 6).await;
        println!("delivered after {:?}", began.elapsed());
        received(&mut listeners, start + 6..start + 9).await;
        println!("received after {:?}", began.elapsed());
        assert!(began.elapsed() < RECOVERY_LIMIT, "{:?}", began.elapsed());
        publish(&publisher, &topic, start + 9..start + 10).await;
        settle(&mut group, start + 6..start + 10).await;
        start += 10;
    }
    group.truncate(1);
    publish(&publisher, &topic, start..start + 1).await;
    let failed = loop {
        let delivery = group[0].next().await;
        if delivery.event.id.as_u128() == start {
            break delivery;
        }
        delivery.ack().await.ok();
    };
    failed.dead_letter("bad").await.unwrap();
    assert_eq!(DeadLetterList(publisher.dead_letters()).all().await.len(), 1);
    publisher.ping().await.unwrap();
    publisher.lag().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_subscription_reports_that_the_cluster_lost_its_data_when_the_new_log_is_longer() {
    let Some(mut server) = PrivateServer::start(Server::Kafka).await else { return };
    let mut cluster = Cluster::at(&server.url(), "tests", None);
    let proxy = KafkaProxy::new(&cluster.brokers).await;
    let (topic, publisher) = (cluster.topic.clone(), cluster.broker());
    let mut config = cluster.config();
    config.kafka_brokers = Some(proxy.brokers.clone());
    let broker = cluster.broker_with(&config);
    let mut listener = broker.subscribe(&topic, &Group::Broadcast, &EventFilter::All).await.unwrap();
    publisher.publish(&[event(&topic, 0, "rex")]).await.unwrap();
    assert_eq!(kafka_events::settle(&mut listener, 1).await, [0]);
    // It connects again when the new log is longer than the old one.
    proxy.faults.set(Mode::Drop);
    server.restart_empty().await;
    let events: Vec<_> = (1..10).map(|number| event(&topic, number, "rex")).collect();
    eventually("events are published", async || publisher.publish(&events).await.ok()).await;
    proxy.faults.set(Mode::Pass);
    let next = timeout(TEST_TIMEOUT, listener.next()).await.expect("an event or an error").expect("the broker is open");
    assert!(matches!(next, Err(BrokerError::Unavailable(_))), "{next:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_continue_after_restarts_of_the_cluster() {
    recovers(2, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_recovers_after_the_cluster_lost_its_data() {
    recovers(1, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_members_recover_after_the_cluster_lost_its_data() {
    recovers(2, true).await;
}
