//! A fault proxy that Kafka clients cannot get around.
//!
//! A cluster tells its clients where its brokers are, so that a proxy in front of it sees their first connection alone.
//! This one puts its own port where answers name the broker's; the length of an answer stays the same.
//!
//! It reads requests as well, so that a connection can break at a commit of offsets.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::FaultProxy;

/// Larger frames are none.
const LARGEST: usize = 64 * 1024 * 1024;
/// What a request that commits offsets begins with.
const OFFSET_COMMIT: [u8; 2] = 8_u16.to_be_bytes();

/// See the [module](self).
pub struct KafkaProxy {
    /// Where clients connect.
    pub brokers: String,
    /// Makes the network fail.
    pub faults: FaultProxy,
    /// How many commits are still to be cut.
    cuts: watch::Sender<usize>,
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
        let addresses = Arc::new((from, to));
        let (through, cuts) = (faults.address(), watch::Sender::new(0));
        let left = cuts.clone();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (addresses, left) = (Arc::clone(&addresses), left.clone());
                // Whoever closes first ends the connection.
                connections.spawn(async move { pass(client, through, &addresses, &left).await.unwrap_or_default() });
            }
        });
        Self { brokers: format!("{host}:{own}"), faults, cuts, _serving: serving }
    }

    /// Breaks the connection at each of the next `count` commits of offsets, which do not reach the cluster.
    pub fn cut_commits(&self, count: usize) {
        self.cuts.send_replace(count);
    }

    /// Waits until no more than `count` commits are still to be cut.
    ///
    /// # Panics
    /// Never: the proxy knows as long as it is there.
    pub async fn commits_to_cut(&self, count: usize) {
        self.cuts.subscribe().wait_for(|left| *left <= count).await.expect("the sender is here");
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

async fn pass(
    client: TcpStream,
    target: SocketAddr,
    (from, to): &(Vec<u8>, Vec<u8>),
    cuts: &watch::Sender<usize>,
) -> std::io::Result<()> {
    let (from_client, to_client) = client.into_split();
    let (from_target, to_target) = TcpStream::connect(target).await?.into_split();
    tokio::select! {
        up = requests(from_client, to_target, cuts) => up,
        down = answers(from_target, to_client, from, to) => down,
    }
}

async fn requests(
    mut client: OwnedReadHalf,
    mut target: OwnedWriteHalf,
    cuts: &watch::Sender<usize>,
) -> std::io::Result<()> {
    loop {
        let request = frame(&mut client).await?;
        let is_cut = |left: &mut usize| {
            let is_cut = *left > 0 && request.starts_with(&OFFSET_COMMIT);
            *left -= usize::from(is_cut);
            is_cut
        };
        if cuts.send_if_modified(is_cut) {
            return Ok(());
        }
        send(&mut target, &request).await?;
    }
}

async fn answers(mut target: OwnedReadHalf, mut client: OwnedWriteHalf, from: &[u8], to: &[u8]) -> std::io::Result<()> {
    loop {
        let mut answer = frame(&mut target).await?;
        while let Some(at) = answer.windows(from.len()).position(|window| window == from) {
            answer[at..at + to.len()].copy_from_slice(to);
        }
        send(&mut client, &answer).await?;
    }
}

async fn frame(from: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let length = usize::try_from(from.read_u32().await?).unwrap_or(usize::MAX);
    if length > LARGEST {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut frame = vec![0; length];
    from.read_exact(&mut frame).await?;
    Ok(frame)
}

async fn send(to: &mut OwnedWriteHalf, frame: &[u8]) -> std::io::Result<()> {
    to.write_u32(u32::try_from(frame.len()).unwrap_or(u32::MAX)).await?;
    to.write_all(frame).await
}
