//! ClickHouse through a proxy that can make connections read-only, like those to a replaced primary.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kennel_storage::StorageConfig;
use kennel_storage::clickhouse::{ClickHouse, ClickHouseInbox, ClickHouseMigrator, EVENTS};
use kennel_testkit::TestClickHouse;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::Store;

/// A proxy to the server. A connection that was opened in read-only mode stays read-only.
struct PrimaryProxy {
    address: SocketAddr,
    read_only: Arc<AtomicBool>,
    _serving: JoinSet<()>,
}

impl PrimaryProxy {
    async fn new(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let read_only = Arc::new(AtomicBool::new(false));
        let mut serving = JoinSet::new();
        let is_read_only = Arc::clone(&read_only);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let setting = if is_read_only.load(Ordering::SeqCst) { "readonly=2&" } else { "" };
                connections.spawn(async move {
                    // Either side can close the connection.
                    forward(client, server, setting).await.ok();
                });
            }
        });
        Self { address, read_only, _serving: serving }
    }

    fn set(&self, read_only: bool) {
        self.read_only.store(read_only, Ordering::SeqCst);
    }
}

/// Adds a setting to each request. The client writes a request in one piece that begins with its first line.
async fn forward(client: TcpStream, server: SocketAddr, setting: &str) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
    let up = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from_client.read(&mut buffer).await?;
            if read == 0 {
                return to_server.shutdown().await;
            }
            match buffer[..read].strip_prefix(b"POST /?") {
                Some(rest) => {
                    to_server.write_all(format!("POST /?{setting}").as_bytes()).await?;
                    to_server.write_all(rest).await?;
                }
                None => to_server.write_all(&buffer[..read]).await?,
            }
        }
    };
    tokio::try_join!(up, copy(&mut from_server, &mut to_client)).map(|_| ())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_work_again_right_after_a_failover() {
    let Some(home) = TestClickHouse::create() else { return };
    let primary = PrimaryProxy::new(home.server()).await;
    let config = StorageConfig::clickhouse(home.dsn_by(primary.address).as_str());
    let clickhouse = ClickHouse::open(&config).await.unwrap();
    let migrator = ClickHouseMigrator::new(clickhouse.clone(), &[EVENTS]);
    let store = Store::new(clickhouse.clone(), ClickHouseInbox::new(clickhouse), migrator).await;
    store.accepts_writes().await;

    store.database.close().await;

    primary.set(true);
    let clickhouse = ClickHouse::open(&config).await.unwrap();
    let inbox = Arc::new(ClickHouseInbox::new(clickhouse.clone()));
    let store = Store { database: Arc::new(clickhouse), inbox };
    store.rejects_writes().await;
    // The connections that are open now stay read-only.
    primary.set(false);
    store.soon_accepts_writes().await;
    store.database.close().await;
}
