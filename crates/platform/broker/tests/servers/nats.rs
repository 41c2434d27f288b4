//! A prefix of its own on a NATS server: one that is years old, and one of the newest version.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use kennel_broker::Broker;
use kennel_broker::nats::{NatsBroker, NatsConfig};
use kennel_core::{DeadLetters, SystemClock};
use kennel_testkit::corner::Nats;
use kennel_testkit::{Backend, Server};

use crate::{Home, IN_FLIGHT, TOPIC, moved, place};

/// Streams of one prefix, removed with the value.
struct NatsHome<const CURRENT: bool> {
    url: String,
    config: NatsConfig,
    _corner: Option<Nats>,
}

impl<const CURRENT: bool> NatsHome<CURRENT> {
    fn with(url: String, prefix: &str, corner: Option<Nats>) -> Self {
        let config = NatsConfig {
            prefix: prefix.to_owned(),
            partitions: NonZeroU16::new(4).unwrap(),
            lease: Duration::from_secs(3),
            ack_wait: Duration::from_secs(3),
            ..NatsConfig::default()
        };
        Self { url, config, _corner: corner }
    }

    async fn jetstream(&self) -> jetstream::Context {
        jetstream::new(async_nats::connect(&self.url).await.unwrap())
    }

    fn topic_stream(&self) -> String {
        format!("{}-topic-{}", self.config.prefix, TOPIC.replace('.', "_"))
    }
}

impl<const CURRENT: bool> Home for NatsHome<CURRENT> {
    const SERVER: Server = if CURRENT { Server::NatsCurrent } else { Server::Nats };
    const OBJECTS: &'static [&'static str] =
        &["topic stream", "groups stream", "dead-letter stream", "consumer", "consumer of the listener"];

    fn new() -> Option<Self> {
        let corner = Nats::on(if CURRENT { Backend::NatsCurrent } else { Backend::Nats })?;
        let (url, prefix) = (corner.url().to_owned(), corner.prefix().to_owned());
        Some(Self::with(url, &prefix, Some(corner)))
    }

    fn of(url: String, prefix: &str) -> Self {
        Self::with(url, prefix, None)
    }

    fn server(&self) -> SocketAddr {
        place(&self.url, 4222)
    }

    async fn open(&self, address: Option<SocketAddr>) -> (Arc<dyn Broker>, Arc<dyn DeadLetters>) {
        let config = NatsConfig { url: Some(moved(&self.url, address).into()), ..self.config.clone() };
        let in_flight = NonZeroUsize::new(IN_FLIGHT).unwrap();
        let broker = NatsBroker::connect(&config, in_flight, Arc::new(SystemClock)).await.unwrap();
        let letters = broker.dead_letters();
        (Arc::new(broker), Arc::new(letters))
    }

    async fn send_rubbish(&self) {
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

/// The tests of one version.
macro_rules! version {
    ($name:ident, $current:literal) => {
        pub(crate) mod $name {
            mod conformance {
                use crate::nats::NatsHome;
                use crate::stage;

                kennel_testkit::broker_conformance!(stage::<NatsHome<$current>>);
            }

            mod server {
                use crate::cases::server_cases;
                use crate::nats::NatsHome;

                server_cases!(NatsHome<$current>);
            }

            mod losses {
                use crate::losses::loss_cases;
                use crate::nats::NatsHome;

                loss_cases!(NatsHome<$current>);
            }
        }
    };
}

version!(oldest, false);
version!(current, true);
