//! Broker servers: the conformance suite, and the cases of servers. Each test has its own namespace.
#![cfg(any(feature = "nats", feature = "rabbitmq"))]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod cases;
mod lag;
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

/// Maximum number of unsettled deliveries per subscription.
const IN_FLIGHT: usize = 16;
/// The topic of the tests.
const TOPIC: &str = "tests.events";

/// A namespace on a server.
trait ServerNamespace: Send + Sized + 'static {
    /// The server to start for a test that restarts it.
    const SERVER: Server;
    /// The objects that an operator can delete, one at a time.
    const OBJECTS: &'static [&'static str];

    /// Creates a namespace; `None`, with a message, when there is no server.
    fn new() -> Option<Self>;

    /// Returns the namespace `prefix` on a private server.
    fn of(url: String, prefix: &str) -> Self;

    /// Returns the address of the server.
    fn server(&self) -> SocketAddr;

    /// Opens a broker of this namespace, through `address` if it is given.
    async fn open(&self, address: Option<SocketAddr>) -> (Arc<dyn Broker>, Arc<dyn DeadLetters>);

    /// Publishes a message that is not an event to the first partition of [`TOPIC`].
    async fn send_invalid_message(&self);

    /// Deletes one of [`Self::OBJECTS`] from the server.
    async fn remove(&self, object: &str);
}

/// Returns `url` with another address.
fn with_address(url: &str, address: Option<SocketAddr>) -> String {
    let Some(address) = address else { return url.to_owned() };
    let (scheme, rest) = url.split_once("://").unwrap();
    let (socket_addr, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let login = socket_addr.rsplit_once('@').map_or(String::new(), |(login, _)| format!("{login}@"));
    format!("{scheme}://{login}{address}{path}")
}

/// Returns the address of the server of `url`.
fn socket_addr(url: &str, port: u16) -> SocketAddr {
    let socket_addr = url.split_once("://").unwrap().1.split('/').next().unwrap().rsplit('@').next().unwrap();
    let socket_addr = if socket_addr.contains(':') { socket_addr.to_owned() } else { format!("{socket_addr}:{port}") };
    std::net::ToSocketAddrs::to_socket_addrs(&socket_addr).unwrap().next().unwrap()
}

struct DeadLetterList(Arc<dyn DeadLetters>);

#[async_trait]
impl DeadLetterReader for DeadLetterList {
    async fn all(&self) -> Vec<DeadLetter> {
        self.0.list(None, 100).await.unwrap()
    }
}

/// Returns a fixture for the conformance suite.
async fn fixture<H: ServerNamespace>() -> Option<Fixture<BrokerUnderTest>> {
    let namespace = H::new()?;
    let (broker, dead_letters) = namespace.open(None).await;
    let fixture = BrokerUnderTest {
        publisher: Arc::clone(&broker) as Arc<_>,
        lag: Arc::new(lag::BrokerLag(Arc::clone(&broker))),
        subscriber: broker,
        dead_letters: Arc::new(DeadLetterList(dead_letters)),
        topic: TOPIC.to_owned(),
        in_flight: IN_FLIGHT,
    };
    Some(Fixture::with_resources(namespace, fixture))
}
