//! Corners that are reached through a network that can fail.

#[cfg(any(feature = "nats", feature = "rabbitmq"))]
use std::net::SocketAddr;

#[cfg(any(feature = "nats", feature = "rabbitmq"))]
use url::Url;

use crate::FaultProxy;
#[cfg(feature = "kafka")]
use crate::fault::kafka::KafkaProxy;

/// A corner of a broker server, and a proxy in front of the server.
pub struct Distant {
    near: Vec<(&'static str, String)>,
    far: Vec<(&'static str, String)>,
    proxy: Proxy,
    _corner: Box<dyn Send>,
}

enum Proxy {
    #[cfg(any(feature = "nats", feature = "rabbitmq"))]
    Plain(FaultProxy),
    #[cfg(feature = "kafka")]
    Kafka(KafkaProxy),
}

impl Distant {
    /// One on the server of `TEST_NATS_URL`; `None` when there is no such server.
    #[cfg(feature = "nats")]
    pub async fn nats() -> Option<Self> {
        let corner = super::Nats::find()?;
        let proxy = FaultProxy::new(server(corner.url(), 4222)).await;
        let variables = |url: String| named("nats", "NATS_URL", url, corner.prefix());
        let (near, far) = (variables(corner.url().to_owned()), variables(by(corner.url(), proxy.address())));
        Some(Self { near, far, proxy: Proxy::Plain(proxy), _corner: Box::new(corner) })
    }

    /// One in the cluster of `TEST_KAFKA_BROKERS`; `None` when there is no such cluster.
    #[cfg(feature = "kafka")]
    pub async fn kafka() -> Option<Self> {
        let corner = super::Kafka::find()?;
        let proxy = KafkaProxy::new(corner.brokers()).await;
        let variables = |brokers: &str| named("kafka", "KAFKA_BROKERS", brokers.to_owned(), corner.prefix());
        let (near, far) = (variables(corner.brokers()), variables(&proxy.brokers));
        Some(Self { near, far, proxy: Proxy::Kafka(proxy), _corner: Box::new(corner) })
    }

    /// One on the server of `TEST_RABBITMQ_URL`, for topics and groups as in [`super::Rabbit::with`]; `None` when there
    /// is no such server.
    #[cfg(feature = "rabbitmq")]
    pub async fn rabbit(topics: &[&str], groups: &[&str], partitions: u16) -> Option<Self> {
        let corner = super::Rabbit::find()?.with(topics, groups, partitions);
        let proxy = FaultProxy::new(server(corner.url(), 5672)).await;
        let variables = |url: String| named("rabbitmq", "RABBITMQ_URL", url, corner.prefix());
        let (near, far) = (variables(corner.url().to_owned()), variables(by(corner.url(), proxy.address())));
        Some(Self { near, far, proxy: Proxy::Plain(proxy), _corner: Box::new(corner) })
    }

    /// The variables of a service that reaches the server directly.
    pub fn near(&self) -> &[(&'static str, String)] {
        &self.near
    }

    /// The variables of a service that reaches the server through the network that can fail.
    pub fn far(&self) -> &[(&'static str, String)] {
        &self.far
    }

    /// Makes the network fail.
    pub const fn faults(&self) -> &FaultProxy {
        match &self.proxy {
            #[cfg(any(feature = "nats", feature = "rabbitmq"))]
            Proxy::Plain(proxy) => proxy,
            #[cfg(feature = "kafka")]
            Proxy::Kafka(proxy) => &proxy.faults,
        }
    }
}

fn named(broker: &str, place: &'static str, address: String, prefix: &str) -> Vec<(&'static str, String)> {
    vec![("BROKER", broker.to_owned()), (place, address), ("BROKER_PREFIX", prefix.to_owned())]
}

/// Where the server of `url` is.
#[cfg(any(feature = "nats", feature = "rabbitmq"))]
fn server(url: &str, port: u16) -> SocketAddr {
    let url = Url::parse(url).expect("the server's address is a URL");
    url.socket_addrs(|| Some(port)).expect("the server's host is known")[0]
}

/// `url` with another place to find the server.
#[cfg(any(feature = "nats", feature = "rabbitmq"))]
fn by(url: &str, proxy: SocketAddr) -> String {
    let mut url = Url::parse(url).expect("the server's address is a URL");
    url.set_ip_host(proxy.ip()).expect("the address of a server has a host");
    url.set_port(Some(proxy.port())).expect("the address of a server has a port");
    url.into()
}
