//! A fault proxy that Kafka clients cannot get around.
//!
//! A cluster tells its clients where its brokers are, so that a proxy in front of it sees their first connection alone.
//! This one puts its own port where answers name the broker's; the length of an answer stays the same.

use std::net::{Ipv4Addr, SocketAddr};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::FaultProxy;

/// Larger answers are none.
const LARGEST: usize = 64 * 1024 * 1024;

/// See the [module](self).
pub struct KafkaProxy {
    /// Where clients connect.
    pub brokers: String,
    /// Makes the network fail.
    pub faults: FaultProxy,
    _serving: JoinSet<()>,
}

impl KafkaProxy {
    /// A proxy in front of the cluster, which must have one broker.
    ///
    /// # Panics
    /// When the cluster does not answer, or has several brokers.
    pub async fn new(brokers: &str) -> Self {
        let (host, port) = advertised(brokers);
        let mut found = tokio::net::lookup_host((host.as_str(), port)).await.expect("the broker's host is known");
        let faults = FaultProxy::new(found.next().expect("the broker's host has an address")).await;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let own = listener.local_addr().expect("a bound listener has an address").port();
        let named = |port: u16| [host.as_bytes(), &u32::from(port).to_be_bytes()].concat();
        let (from, to) = (named(port), named(own));
        let mut serving = JoinSet::new();
        let through = faults.address();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (from, to) = (from.clone(), to.clone());
                // Whoever closes first ends the connection.
                connections.spawn(async move { pass(client, through, &from, &to).await.unwrap_or_default() });
            }
        });
        Self { brokers: format!("{host}:{own}"), faults, _serving: serving }
    }
}

/// Where the cluster says that its broker is.
fn advertised(brokers: &str) -> (String, u16) {
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).create().expect("a client is made");
    let metadata = client.fetch_metadata(Some("kennel.ping"), std::time::Duration::from_secs(10));
    let metadata = metadata.expect("the cluster answers");
    let [broker] = metadata.brokers() else { panic!("one broker, not {}", metadata.brokers().len()) };
    (broker.host().to_owned(), u16::try_from(broker.port()).expect("a port is a port"))
}

async fn pass(client: TcpStream, target: SocketAddr, from: &[u8], to: &[u8]) -> std::io::Result<()> {
    let (mut from_client, to_client) = client.into_split();
    let (from_target, mut to_target) = TcpStream::connect(target).await?.into_split();
    tokio::select! {
        up = tokio::io::copy(&mut from_client, &mut to_target) => up.map(drop),
        down = answers(from_target, to_client, from, to) => down,
    }
}

async fn answers(mut target: OwnedReadHalf, mut client: OwnedWriteHalf, from: &[u8], to: &[u8]) -> std::io::Result<()> {
    loop {
        let length = target.read_u32().await?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > LARGEST {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        let mut answer = vec![0; length];
        target.read_exact(&mut answer).await?;
        while let Some(at) = answer.windows(from.len()).position(|window| window == from) {
            answer[at..at + to.len()].copy_from_slice(to);
        }
        client.write_u32(u32::try_from(length).unwrap_or(u32::MAX)).await?;
        client.write_all(&answer).await?;
    }
}
