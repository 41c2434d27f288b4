//! Publishers and consumers that retry forever, like those of the platform.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use futures_util::future::select_all;
use kennel_broker::kafka::KafkaBroker;
use kennel_core::broker::BrokerError;
use kennel_core::{Delivery, Event, EventFilter, Group, Publisher as _, Subscriber as _, Subscription};
use tokio::time::{sleep, timeout};

use crate::kafka_events::{TEST_TIMEOUT, event, eventually, number};

/// Upper bound of every recovery.
pub(crate) const RECOVERY_LIMIT: Duration = Duration::from_secs(30);

/// Returns events with three alternating keys.
fn events(topic: &str, numbers: Range<u128>) -> Vec<Event> {
    numbers.map(|n| event(topic, n, &format!("k{}", n % 3))).collect()
}

/// A group member or broadcast subscription that subscribes again whenever its subscription fails.
pub(crate) struct ResilientSubscriber {
    pub(crate) broker: KafkaBroker,
    topic: String,
    pub(crate) group: Group,
    pub(crate) current: Option<Box<dyn Subscription>>,
}

impl ResilientSubscriber {
    pub(crate) async fn new(broker: KafkaBroker, topic: &str, group: Group) -> Self {
        let current = Some(broker.subscribe(topic, &group, &EventFilter::All).await.unwrap());
        Self { broker, topic: topic.to_owned(), group, current }
    }

    pub(crate) async fn member(broker: KafkaBroker, topic: &str) -> Self {
        Self::new(broker, topic, Group::Shared("g".to_owned())).await
    }

    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    pub(crate) async fn next(&mut self) -> Delivery {
        loop {
            let Some(current) = &mut self.current else {
                self.current = self.broker.subscribe(&self.topic, &self.group, &EventFilter::All).await.ok();
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            match current.next().await.expect("the broker is open") {
                Ok(delivery) => return delivery,
                Err(BrokerError::Unavailable(_)) => self.current = None,
                Err(error) => panic!("{error:?}"),
            }
        }
    }
}

/// Publishes until it succeeds, like the relay.
pub(crate) async fn publish(broker: &KafkaBroker, topic: &str, numbers: Range<u128>) {
    let batch = events(topic, numbers);
    eventually("events are published", async || broker.publish(&batch).await.ok()).await;
}

/// Settles deliveries until each of these numbers was delivered; events of a key must be in order, apart from
/// redeliveries.
pub(crate) async fn settle(members: &mut [ResilientSubscriber], numbers: Range<u128>) {
    let (mut latest, mut left) = (BTreeMap::new(), numbers.clone().collect::<BTreeSet<_>>());
    while !left.is_empty() {
        let nexts = select_all(members.iter_mut().map(|member| Box::pin(member.next())));
        let (delivery, _, others) =
            timeout(TEST_TIMEOUT, nexts).await.unwrap_or_else(|_| panic!("{left:?} were not delivered"));
        drop(others);
        let number = number(&delivery);
        delivery.ack().await.ok();
        if numbers.contains(&number) {
            let latest = latest.entry(number % 3).or_insert(number);
            assert!(number <= *latest + 3, "{number} delivered after {latest}");
            *latest = number.max(*latest);
            left.remove(&number);
        }
    }
}
