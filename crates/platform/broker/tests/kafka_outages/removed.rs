//! Topics and dead-letter topics that an operator deletes while publishers and consumers run.

use std::num::NonZeroU16;
use std::time::Duration;

use kennel_broker::kafka::KafkaConfig;
use kennel_broker::{Broker as _, Lag};
use kennel_core::{EventFilter, Group, Subscriber as _};
use kennel_testkit::conformance::broker::DeadLetterReader as _;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use tokio::time::{Instant, sleep};

use crate::kafka::{Cluster, DeadLetterList};
use crate::kafka_events::{TEST_TIMEOUT, eventually};
use crate::resilient::{RECOVERY_LIMIT, ResilientSubscriber, publish, settle};

struct Operator(AdminClient<DefaultClientContext>);

impl Operator {
    fn of(brokers: &str) -> Self {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", brokers).set("allow.auto.create.topics", "false");
        Self(settings.create().unwrap())
    }

    /// Returns the number of partitions of a topic; zero if it does not exist.
    fn partitions(&self, topic: &str) -> usize {
        let metadata = self.0.inner().fetch_metadata(Some(topic), TEST_TIMEOUT).unwrap();
        metadata.topics()[0].partitions().len()
    }

    /// Deletes a topic; returns when it no longer exists.
    async fn remove(&self, topic: &str) {
        self.0.delete_topics(&[topic], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
        eventually("the topic is deleted", async || (self.partitions(topic) == 0).then_some(())).await;
    }

    async fn create(&self, topic: &str, partitions: i32) {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        eventually("the topic can be created", async || {
            self.0.create_topics([&new], &AdminOptions::new()).await.unwrap()[0].is_ok().then_some(())
        })
        .await;
    }
}

/// Configuration with another number of partitions than the cluster's own default.
fn config(cluster: &Cluster) -> KafkaConfig {
    let mut config = cluster.config();
    config.kafka_partitions = NonZeroU16::new(4).unwrap();
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_topic_is_created_again_and_pending_events_are_published_in_order() {
    let Some(mut cluster) = Cluster::find() else { return };
    let (config, topic, operator) = (config(&cluster), cluster.topic.clone(), Operator::of(&cluster.brokers));
    let publisher = cluster.broker_with(&config);
    let mut members = [
        ResilientSubscriber::member(cluster.broker_with(&config), &topic).await,
        ResilientSubscriber::member(cluster.broker_with(&config), &topic).await,
    ];
    publish(&publisher, &topic, 0..30).await;
    settle(&mut members, 0..30).await;
    for start in [30, 42] {
        operator.remove(&topic).await;
        let began = Instant::now();
        publish(&publisher, &topic, start..start + 6).await;
        println!("published after {:?}", began.elapsed());
        publish(&publisher, &topic, start + 6..start + 12).await;
        settle(&mut members, start..start + 12).await;
        println!("delivered after {:?}", began.elapsed());
        assert!(began.elapsed() < RECOVERY_LIMIT, "{:?}", began.elapsed());
        assert_eq!(operator.partitions(&topic), 4, "as configured");
    }
    let none = [Lag { topic: topic.clone(), group: "g".to_owned(), events: 0 }];
    let broker = members[0].broker.clone();
    eventually("no event is unsettled", async || (broker.lag().await.ok()? == none).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_and_listeners_create_a_removed_topic() {
    let Some(mut cluster) = Cluster::find() else { return };
    let (config, topic, operator) = (config(&cluster), cluster.topic.clone(), Operator::of(&cluster.brokers));
    let publisher = cluster.broker();
    for group in [Group::Shared("g".to_owned()), Group::Broadcast] {
        let mut one = [ResilientSubscriber::new(cluster.broker_with(&config), &topic, group).await];
        publish(&publisher, &topic, 0..30).await;
        settle(&mut one, 0..30).await;
        operator.remove(&topic).await;
        let began = Instant::now();
        let created = eventually("the topic exists", async || (operator.partitions(&topic) == 4).then_some(()));
        tokio::select! {
            () = created => {}
            delivery = one[0].next() => panic!("{delivery:?} was published before"),
        }
        println!("created after {:?}", began.elapsed());
        assert!(began.elapsed() < RECOVERY_LIMIT, "{:?}", began.elapsed());
        // A broadcast subscription receives events as soon as it has subscribed.
        if one[0].current.is_none() {
            one[0].current = Some(one[0].broker.subscribe(&topic, &one[0].group, &EventFilter::All).await.unwrap());
        }
        publish(&publisher, &topic, 30..36).await;
        settle(&mut one, 30..36).await;
        println!("delivered after {:?}", began.elapsed());
        operator.remove(&topic).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_another_replaces_at_once_is_read_from_its_beginning() {
    let Some(mut cluster) = Cluster::find() else { return };
    let (topic, operator) = (cluster.topic.clone(), Operator::of(&cluster.brokers));
    let mut members = [ResilientSubscriber::member(cluster.broker(), &topic).await];
    let mut listeners = [ResilientSubscriber::new(cluster.broker(), &topic, Group::Broadcast).await];
    let publisher = cluster.broker();
    publish(&publisher, &topic, 0..30).await;
    settle(&mut members, 0..30).await;
    settle(&mut listeners, 0..30).await;
    operator.remove(&topic).await;
    operator.create(&topic, 5).await;
    let began = Instant::now();
    publish(&publisher, &topic, 30..36).await;
    settle(&mut members, 30..36).await;
    println!("delivered after {:?}", began.elapsed());
    assert!(began.elapsed() < RECOVERY_LIMIT, "{:?}", began.elapsed());
    // It receives what is published after it has subscribed again.
    let received = async {
        loop {
            publish(&publisher, &topic, 36..39).await;
            sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        () = settle(&mut listeners, 36..39) => {}
        () = received => {}
    }
    println!("received after {:?}", began.elapsed());
    assert!(began.elapsed() < RECOVERY_LIMIT, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removed_dead_letters_are_an_empty_list_and_new_ones_are_stored() {
    let Some(mut cluster) = Cluster::find() else { return };
    let (broker, topic, operator) = (cluster.broker(), cluster.topic.clone(), Operator::of(&cluster.brokers));
    let mut member = ResilientSubscriber::member(broker.clone(), &topic).await;
    publish(&broker, &topic, 0..3).await;
    member.next().await.dead_letter("first").await.unwrap();
    operator.remove(&format!("{topic}.g.dlq")).await;
    assert_eq!(DeadLetterList(broker.dead_letters()).all().await, []);
    let began = Instant::now();
    for _ in 0..2 {
        member.next().await.dead_letter("second").await.unwrap();
    }
    println!("stored after {:?}", began.elapsed());
    assert!(began.elapsed() < RECOVERY_LIMIT, "{:?}", began.elapsed());
    let reasons: Vec<_> =
        DeadLetterList(broker.dead_letters()).all().await.into_iter().map(|dead_letter| dead_letter.reason).collect();
    assert_eq!(reasons, ["second", "second"]);
}
