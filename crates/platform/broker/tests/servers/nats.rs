//! A namespace on a NATS server: of the oldest supported version, and of the newest.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use kennel_broker::Broker;
use kennel_broker::nats::{NatsBroker, NatsConfig};
use kennel_core::{DeadLetters, EventFilter, Group, SystemClock};
use kennel_testkit::broker_namespace::Nats;
use kennel_testkit::{Backend, FaultProxy, Mode, Server};
use tokio::time::{sleep, timeout};

use crate::cases::{TEST_TIMEOUT, event, publish};
use crate::{IN_FLIGHT, ServerNamespace, TOPIC, socket_addr, with_address};

/// Streams of one prefix, deleted when it is dropped.
struct NatsNamespace<const CURRENT: bool> {
    url: String,
    config: NatsConfig,
    _namespace: Option<Nats>,
}

impl<const CURRENT: bool> NatsNamespace<CURRENT> {
    fn with(url: String, prefix: &str, namespace: Option<Nats>) -> Self {
        let config = NatsConfig {
            prefix: prefix.to_owned(),
            partitions: NonZeroU16::new(4).unwrap(),
            lease: Duration::from_secs(3),
            ack_wait: Duration::from_secs(3),
            ..NatsConfig::default()
        };
        Self { url, config, _namespace: namespace }
    }

    async fn jetstream(&self) -> jetstream::Context {
        jetstream::new(async_nats::connect(&self.url).await.unwrap())
    }

    fn topic_stream(&self) -> String {
        format!("{}-topic-{}", self.config.prefix, TOPIC.replace('.', "_"))
    }
}

impl<const CURRENT: bool> ServerNamespace for NatsNamespace<CURRENT> {
    const SERVER: Server = if CURRENT { Server::NatsCurrent } else { Server::Nats };
    const OBJECTS: &'static [&'static str] =
        &["topic stream", "groups stream", "dead-letter stream", "consumer", "consumer of the listener"];

    fn new() -> Option<Self> {
        let namespace = Nats::on(if CURRENT { Backend::NatsCurrent } else { Backend::Nats })?;
        let (url, prefix) = (namespace.url().to_owned(), namespace.prefix().to_owned());
        Some(Self::with(url, &prefix, Some(namespace)))
    }

    fn of(url: String, prefix: &str) -> Self {
        Self::with(url, prefix, None)
    }

    fn server(&self) -> SocketAddr {
        socket_addr(&self.url, 4222)
    }

    async fn open(&self, address: Option<SocketAddr>) -> (Arc<dyn Broker>, Arc<dyn DeadLetters>) {
        let config = NatsConfig { nats_url: Some(with_address(&self.url, address).into()), ..self.config.clone() };
        let in_flight = NonZeroUsize::new(IN_FLIGHT).unwrap();
        let broker = NatsBroker::connect(&config, in_flight, Arc::new(SystemClock)).await.unwrap();
        let dead_letters = broker.dead_letters();
        (Arc::new(broker), Arc::new(dead_letters))
    }

    async fn send_invalid_message(&self) {
        let subject = format!("{}.topic.{}.0", self.config.prefix, TOPIC.replace('.', "_"));
        self.jetstream().await.publish(subject, "rubbish".into()).await.unwrap().await.unwrap();
    }

    async fn remove(&self, object: &str) {
        let (jetstream, prefix) = (self.jetstream().await, &self.config.prefix);
        let stream = match object {
            "groups stream" => format!("{prefix}-groups"),
            "dead-letter stream" => format!("{prefix}-dead"),
            _ => self.topic_stream(),
        };
        if !object.starts_with("consumer") {
            assert!(jetstream.delete_stream(stream).await.unwrap().success);
            return;
        }
        let stream = jetstream.get_stream(stream).await.unwrap();
        let names: Vec<String> = futures_util::TryStreamExt::try_collect(stream.consumer_names()).await.unwrap();
        let is_listener = object == "consumer of the listener";
        let name = names.iter().find(|name| name.starts_with("g-") != is_listener);
        assert!(stream.delete_consumer(name.unwrap()).await.unwrap().success);
    }
}

impl<const CURRENT: bool> NatsNamespace<CURRENT> {
    /// Returns the sequence number and the payload of the group's last message with this name.
    async fn last(&self, stream: &Stream, name: &str) -> Option<(u64, Bytes)> {
        let group = format!("{}.group.{}.g", self.config.prefix, TOPIC.replace('.', "_"));
        let last = stream.get_last_raw_message_by_subject(&format!("{group}.{name}")).await.ok()?;
        Some((last.sequence, last.payload))
    }

    /// Waits for a lease of a partition with another sequence number than `before`; returns it with the member's name.
    async fn renewed(&self, stream: &Stream, partition: u16, before: u64) -> (u64, Bytes) {
        let name = format!("partition.{partition}");
        soon("a lease is renewed", async || self.last(stream, &name).await.filter(|(number, _)| *number != before))
            .await
    }

    /// Waits until the only member has the responses to all its leases, and returns them: its heartbeat comes between
    /// two renewals.
    async fn confirmed(&self, stream: &Stream) -> Vec<(u64, Bytes)> {
        soon("the leases are confirmed", async || {
            let mut leases = Vec::new();
            for partition in 0..self.config.partitions.get() {
                leases.push(self.last(stream, &format!("partition.{partition}")).await?);
            }
            let member = String::from_utf8(leases[0].1.to_vec()).unwrap();
            let shown = self.last(stream, &format!("member.{member}")).await?;
            leases.iter().all(|(number, _)| *number < shown.0).then_some(leases)
        })
        .await
    }

    /// The server stores a renewal, and the member gets no response.
    async fn retains_a_lease_whose_response_was_lost(&self) {
        let proxy = FaultProxy::new(self.server()).await;
        let (broker, _) = self.open(Some(proxy.address())).await;
        let mut group = broker.subscribe(TOPIC, &Group::Shared("g".to_owned()), &EventFilter::All).await.unwrap();
        publish(&broker, &[event(1, "rex")]).await;
        let unsettled = timeout(TEST_TIMEOUT, group.next()).await.unwrap().unwrap().unwrap();

        let stream = self.jetstream().await.get_stream(format!("{}-groups", self.config.prefix)).await.unwrap();
        let mut leases = self.confirmed(&stream).await;
        proxy.set(Mode::LoseAnswers);
        for (partition, lease) in (0..).zip(&mut leases) {
            let before = std::mem::replace(lease, self.renewed(&stream, partition, lease.0).await);
            assert_eq!(lease.1, before.1);
        }
        proxy.set(Mode::Pass);
        for (partition, lease) in (0..).zip(&leases) {
            let renewed = self.renewed(&stream, partition, lease.0).await;
            assert_eq!(renewed.1, lease.1, "partition {partition} has another holder");
        }
        unsettled.ack().await.expect("the partition was never lost");
    }
}

/// Calls `check` until it returns a value.
async fn soon<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let answered = timeout(TEST_TIMEOUT, async {
        loop {
            if let Some(value) = check().await {
                return value;
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
    answered.await.unwrap_or_else(|_| panic!("timed out after {TEST_TIMEOUT:?}: {what}"))
}

/// The tests of one server version.
macro_rules! version {
    ($name:ident, $current:literal) => {
        pub(crate) mod $name {
            mod conformance {
                use crate::fixture;
                use crate::nats::NatsNamespace;

                kennel_testkit::broker_conformance!(fixture::<NatsNamespace<$current>>);
            }

            mod server {
                use crate::cases::server_cases;
                use crate::nats::NatsNamespace;

                server_cases!(NatsNamespace<$current>);
            }

            #[tokio::test]
            async fn retains_a_lease_whose_response_was_lost() {
                let Some(namespace) = <crate::nats::NatsNamespace<$current> as crate::ServerNamespace>::new() else {
                    return;
                };
                namespace.retains_a_lease_whose_response_was_lost().await;
            }

            mod losses {
                use crate::losses::loss_cases;
                use crate::nats::NatsNamespace;

                loss_cases!(NatsNamespace<$current>);
            }
        }
    };
}

version!(oldest, false);
version!(current, true);
