//! A prefix of its own on the NATS server.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use kennel_broker::Broker;
use kennel_broker::nats::{NatsBroker, NatsConfig};
use kennel_core::{DeadLetters, IdSource as _, SystemClock, UuidV7};
use kennel_testkit::Backend;

use crate::{Home, IN_FLIGHT, TOPIC, moved, place};

/// Streams of one prefix, removed with the value.
struct NatsHome {
    url: String,
    config: NatsConfig,
}

impl Home for NatsHome {
    fn new() -> Option<Self> {
        let url = Backend::Nats.address()?;
        let config = NatsConfig {
            prefix: format!("t{}", UuidV7.next().simple()),
            partitions: NonZeroU16::new(4).unwrap(),
            lease: Duration::from_secs(3),
            ack_wait: Duration::from_secs(3),
            ..NatsConfig::default()
        };
        Some(Self { url, config })
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
        let jetstream = async_nats::jetstream::new(async_nats::connect(&self.url).await.unwrap());
        let subject = format!("{}.topic.{}.0", self.config.prefix, TOPIC.replace('.', "_"));
        jetstream.publish(subject, "rubbish".into()).await.unwrap().await.unwrap();
    }
}

impl Drop for NatsHome {
    fn drop(&mut self) {
        let (prefix, url) = (self.config.prefix.clone(), self.url.clone());
        // On a thread of its own: the test's runtime is on its way out, and the next test must not wait for it.
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = async_nats::connect(url).await.unwrap();
                let jetstream = async_nats::jetstream::new(client);
                let names: Vec<String> = jetstream.stream_names().try_collect().await.unwrap();
                for name in names.iter().filter(|name| name.starts_with(&prefix)) {
                    jetstream.delete_stream(name).await.ok();
                }
            });
        });
        cleaning.join().ok();
    }
}

mod conformance {
    use super::NatsHome;
    use crate::stage;

    kennel_testkit::broker_conformance!(stage::<NatsHome>);
}

mod server {
    use super::NatsHome;
    use crate::cases::server_cases;

    server_cases!(NatsHome);
}
