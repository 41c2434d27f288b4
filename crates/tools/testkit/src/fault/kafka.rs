//! A fault proxy that Kafka clients cannot bypass.
//!
//! A cluster advertises the addresses of its brokers to clients, so that a plain proxy would see only their first
//! connection. This one replaces the broker's port in responses by its own; the length of a response does not change.
//!
//! It parses requests as well, so that a connection can break at an offset commit.

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

/// Maximum size of a frame.
const MAX_FRAME_BYTES: usize = 64 * 1024 * 1024;
/// API key at the start of an offset commit request.
const OFFSET_COMMIT: [u8; 2] = 8_u16.to_be_bytes();

/// See the [module](self).
pub struct KafkaProxy {
    /// Address that clients connect to.
    pub brokers: String,
    /// The fault proxy.
    pub faults: FaultProxy,
    /// Number of offset commits that still break their connection.
    commits_to_break: watch::Sender<usize>,
    _serving: JoinSet<()>,
}

impl KafkaProxy {
    /// Starts a proxy in front of the cluster, which must have one broker.
    ///
    /// # Panics
    /// If the cluster does not answer, or has several brokers.
    pub async fn new(brokers: &str) -> Self {
        let (host, port) = advertised(brokers);
        let mut found = tokio::net::lookup_host((host.as_str(), port)).await.expect("the broker's host resolves");
        let faults = FaultProxy::new(found.next().expect("the broker's host has an address")).await;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let own = listener.local_addr().expect("a bound listener has an address").port();
        let encoded = |port: u16| [host.as_bytes(), &u32::from(port).to_be_bytes()].concat();
        let (from, to) = (encoded(port), encoded(own));
        let mut serving = JoinSet::new();
        let addresses = Arc::new((from, to));
        let (through, commits_to_break) = (faults.address(), watch::Sender::new(0));
        let left = commits_to_break.clone();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (addresses, left) = (Arc::clone(&addresses), left.clone());
                // Either side may close the connection.
                connections.spawn(async move { forward(client, through, &addresses, &left).await.unwrap_or_default() });
            }
        });
        Self { brokers: format!("{host}:{own}"), faults, commits_to_break, _serving: serving }
    }

    /// Breaks the connection at each of the next `count` offset commits, which do not reach the cluster.
    pub fn cut_commits(&self, count: usize) {
        self.commits_to_break.send_replace(count);
    }

    /// Waits until at most `count` offset commits are left that break their connection.
    ///
    /// # Panics
    /// Never, because the proxy owns the sender.
    pub async fn commits_to_cut(&self, count: usize) {
        self.commits_to_break.subscribe().wait_for(|left| *left <= count).await.expect("the proxy owns the sender");
    }
}

/// Address that the cluster advertises for its broker.
fn advertised(brokers: &str) -> (String, u16) {
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).create().expect("the client is created");
    let metadata = client.fetch_metadata(Some("kennel.ping"), std::time::Duration::from_secs(10));
    let metadata = metadata.expect("the cluster answers");
    let [broker] = metadata.brokers() else { panic!("one broker, not {}", metadata.brokers().len()) };
    (broker.host().to_owned(), u16::try_from(broker.port()).expect("a port is a port"))
}

async fn forward(
    client: TcpStream,
    target: SocketAddr,
    (from, to): &(Vec<u8>, Vec<u8>),
    commits_to_break: &watch::Sender<usize>,
) -> std::io::Result<()> {
    let (from_client, to_client) = client.into_split();
    let (from_target, to_target) = TcpStream::connect(target).await?.into_split();
    tokio::select! {
        up = requests(from_client, to_target, commits_to_break) => up,
        down = responses(from_target, to_client, from, to) => down,
    }
}

async fn requests(
    mut client: OwnedReadHalf,
    mut target: OwnedWriteHalf,
    commits_to_break: &watch::Sender<usize>,
) -> std::io::Result<()> {
    loop {
        let request = frame(&mut client).await?;
        let breaks = |left: &mut usize| {
            let breaks = *left > 0 && request.starts_with(&OFFSET_COMMIT);
            *left -= usize::from(breaks);
            breaks
        };
        if commits_to_break.send_if_modified(breaks) {
            return Ok(());
        }
        send(&mut target, &request).await?;
    }
}

async fn responses(
    mut target: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    from: &[u8],
    to: &[u8],
) -> std::io::Result<()> {
    loop {
        let mut response = frame(&mut target).await?;
        while let Some(at) = response.windows(from.len()).position(|window| window == from) {
            response[at..at + to.len()].copy_from_slice(to);
        }
        send(&mut client, &response).await?;
    }
}

async fn frame(from: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let length = usize::try_from(from.read_u32().await?).unwrap_or(usize::MAX);
    if length > MAX_FRAME_BYTES {
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
