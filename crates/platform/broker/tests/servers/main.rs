//! The brokers that are servers, over real ones: the cases of every broker, and those of servers. Each test has a
//! corner
//! of its own.
#![cfg(any(feature = "nats", feature = "rabbitmq"))]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod cases;
mod losses;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use kennel_broker::Broker;
use kennel_core::{DeadLetter, DeadLetters};
use kennel_testkit::Server;
use kennel_testkit::conformance::Fixture;
use kennel_testkit::conformance::broker::{BrokerUnderTest, DeadLetterReader};

/// How many events a subscription may hold.
const IN_FLIGHT: usize = 16;
/// The topic of a stage.
const TOPIC: &str = "tests.events";

/// A corner of a server.
trait Home: Send + Sized + 'static {
    /// What to start for a test that restarts it.
    const SERVER: Server;
    /// What an operator can remove, one at a time.
    const OBJECTS: &'static [&'static str];

    /// `None`, said aloud, when there is no server.
    fn new() -> Option<Self>;

    /// What begins with `prefix` on a server that is the test's own.
    fn of(url: String, prefix: &str) -> Self;

    /// Where the server is.
    fn server(&self) -> SocketAddr;

    /// A broker of this corner, which finds the server at `address`, or where it is.
    async fn open(&self, address: Option<SocketAddr>) -> (Arc<dyn Broker>, Arc<dyn DeadLetters>);

    /// Sends what is no event to the first partition of [`TOPIC`].
    async fn send_rubbish(&self);

    /// Removes one of [`Self::OBJECTS`] from the server.
    async fn remove(&self, object: &str);
}

/// `url` with another place to find the server.
fn moved(url: &str, address: Option<SocketAddr>) -> String {
    let Some(address) = address else { return url.to_owned() };
    let (scheme, rest) = url.split_once("://").unwrap();
    let (place, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let login = place.rsplit_once('@').map_or(String::new(), |(login, _)| format!("{login}@"));
    format!("{scheme}://{login}{address}{path}")
}

/// Where the server of `url` is.
fn place(url: &str, port: u16) -> SocketAddr {
    let place = url.split_once("://").unwrap().1.split('/').next().unwrap().rsplit('@').next().unwrap();
    let place = if place.contains(':') { place.to_owned() } else { format!("{place}:{port}") };
    std::net::ToSocketAddrs::to_socket_addrs(&place).unwrap().next().unwrap()
}

struct Shown(Arc<dyn DeadLetters>);

#[async_trait]
impl DeadLetterReader for Shown {
    async fn all(&self) -> Vec<DeadLetter> {
        self.0.list(None, 100).await.unwrap()
    }
}

/// A stage for the cases of every broker.
async fn stage<H: Home>() -> Option<Fixture<BrokerUnderTest>> {
    let home = H::new()?;
    let (broker, letters) = home.open(None).await;
    let stage = BrokerUnderTest {
        publisher: Arc::clone(&broker) as Arc<_>,
        subscriber: broker,
        dead_letters: Arc::new(Shown(letters)),
        topic: TOPIC.to_owned(),
        in_flight: IN_FLIGHT,
    };
    Some(Fixture::with_resources(home, stage))
}
