//! Broker namespaces behind a fault proxy.

#[cfg(any(feature = "nats", feature = "rabbitmq"))]
use std::net::SocketAddr;

#[cfg(any(feature = "nats", feature = "rabbitmq"))]
use url::Url;

use crate::FaultProxy;
#[cfg(feature = "kafka")]
use crate::fault::kafka::KafkaProxy;

/// A namespace on a broker server, and a fault proxy in front of the server.
pub struct ProxiedBroker {
    direct: Vec<(&'static str, String)>,
    proxied: Vec<(&'static str, String)>,
    proxy: Proxy,
    _namespace: Box<dyn Send>,
}

enum Proxy {
    #[cfg(any(feature = "nats", feature = "rabbitmq"))]
    Plain(FaultProxy),
    #[cfg(feature = "kafka")]
    Kafka(KafkaProxy),
}

impl ProxiedBroker {
    /// Creates a namespace on the server of `TEST_NATS_URL`; `None` if the variable is not set.
    #[cfg(feature = "nats")]
    pub async fn nats() -> Option<Self> {
        let namespace = super::Nats::find()?;
        let proxy = FaultProxy::new(server(namespace.url(), 4222)).await;
        let variables = |url: String| variables_of("nats", "NATS_URL", url, namespace.prefix());
        let (direct, proxied) =
            (variables(namespace.url().to_owned()), variables(with_address(namespace.url(), proxy.address())));
        Some(Self { direct, proxied, proxy: Proxy::Plain(proxy), _namespace: Box::new(namespace) })
    }

    /// Creates a namespace in the cluster of `TEST_KAFKA_BROKERS`; `None` if the variable is not set.
    #[cfg(feature = "kafka")]
    pub async fn kafka() -> Option<Self> {
        let namespace = super::Kafka::find()?;
        let proxy = KafkaProxy::new(namespace.brokers()).await;
        let variables = |brokers: &str| variables_of("kafka", "KAFKA_BROKERS", brokers.to_owned(), namespace.prefix());
        let (direct, proxied) = (variables(namespace.brokers()), variables(&proxy.brokers));
        Some(Self { direct, proxied, proxy: Proxy::Kafka(proxy), _namespace: Box::new(namespace) })
    }

    /// Creates a namespace on the server of `TEST_RABBITMQ_URL`, for topics and groups as in [`super::Rabbit::with`];
    /// `None` if the variable is not set.
    #[cfg(feature = "rabbitmq")]
    pub async fn rabbit(topics: &[&str], groups: &[&str], partitions: u16) -> Option<Self> {
        let namespace = super::Rabbit::find()?.with(topics, groups, partitions);
        let proxy = FaultProxy::new(server(namespace.url(), 5672)).await;
        let variables = |url: String| variables_of("rabbitmq", "RABBITMQ_URL", url, namespace.prefix());
        let (direct, proxied) =
            (variables(namespace.url().to_owned()), variables(with_address(namespace.url(), proxy.address())));
        Some(Self { direct, proxied, proxy: Proxy::Plain(proxy), _namespace: Box::new(namespace) })
    }

    /// Variables of a service that connects to the server directly.
    pub fn direct(&self) -> &[(&'static str, String)] {
        &self.direct
    }

    /// Variables of a service that connects to the server through the fault proxy.
    pub fn proxied(&self) -> &[(&'static str, String)] {
        &self.proxied
    }

    /// The fault proxy.
    pub const fn faults(&self) -> &FaultProxy {
        match &self.proxy {
            #[cfg(any(feature = "nats", feature = "rabbitmq"))]
            Proxy::Plain(proxy) => proxy,
            #[cfg(feature = "kafka")]
            Proxy::Kafka(proxy) => &proxy.faults,
        }
    }
}

fn variables_of(
    broker: &str,
    address_variable: &'static str,
    address: String,
    prefix: &str,
) -> Vec<(&'static str, String)> {
    vec![("BROKER", broker.to_owned()), (address_variable, address), ("BROKER_PREFIX", prefix.to_owned())]
}

/// Resolves the address of the server of `url`.
#[cfg(any(feature = "nats", feature = "rabbitmq"))]
fn server(url: &str, port: u16) -> SocketAddr {
    let url = Url::parse(url).expect("the server's address is a URL");
    url.socket_addrs(|| Some(port)).expect("the server's host resolves")[0]
}

/// `url` with the address of the proxy.
#[cfg(any(feature = "nats", feature = "rabbitmq"))]
fn with_address(url: &str, proxy: SocketAddr) -> String {
    let mut url = Url::parse(url).expect("the server's address is a URL");
    url.set_ip_host(proxy.ip()).expect("the address of a server has a host");
    url.set_port(Some(proxy.port())).expect("the address of a server has a port");
    url.into()
}
