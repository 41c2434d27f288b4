//! A TCP proxy on loopback that injects network faults on demand.

#[cfg(feature = "kafka")]
pub mod kafka;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// What the proxy does with connections; a change applies to open connections as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Forwards everything.
    #[default]
    Pass,
    /// Forwards everything, each chunk with this delay.
    Delay(Duration),
    /// Closes connections at once.
    Drop,
    /// Leaves connections open and forwards nothing until the mode changes.
    BlackHole,
    /// Forwards requests to the target and discards its responses.
    LoseAnswers,
    /// Closes each connection after this many bytes from the target.
    CutAfter(usize),
}

/// A proxy in front of one address. It stops when the value is dropped.
pub struct FaultProxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    _serving: JoinSet<()>,
}

impl FaultProxy {
    /// Listens on a free port of the loopback address and forwards everything to `target`.
    pub async fn new(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let mode = watch::Sender::new(Mode::Pass);
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, target, mode.subscribe()));
        Self { address, mode, _serving: serving }
    }

    /// Address to connect to instead of the target.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the mode for open and new connections.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, mode: watch::Receiver<Mode>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                let mode = mode.clone();
                connections.spawn(async move {
                    // Either side may close the connection; that is no error of the proxy.
                    forward(client, target, mode).await.ok();
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn forward(client: TcpStream, target: SocketAddr, mut mode: watch::Receiver<Mode>) -> std::io::Result<()> {
    wait_until_open(&mut mode).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_target, mut to_target) = TcpStream::connect(target).await?.into_split();
    let up = pump(&mut from_client, &mut to_target, mode.clone(), false);
    let down = pump(&mut from_target, &mut to_client, mode, true);
    tokio::try_join!(up, down).map(|_| ())
}

fn aborted() -> std::io::Error {
    std::io::ErrorKind::ConnectionAborted.into()
}

/// Waits until the mode forwards data, and returns it.
async fn wait_until_open(mode: &mut watch::Receiver<Mode>) -> std::io::Result<Mode> {
    loop {
        let current = *mode.borrow_and_update();
        match current {
            Mode::Drop => return Err(aborted()),
            Mode::BlackHole => mode.changed().await.map_err(|_| aborted())?,
            _ => return Ok(current),
        }
    }
}

/// Copies one direction until it ends; an error ends both directions.
async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut mode: watch::Receiver<Mode>,
    is_response: bool,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    let mut forwarded = 0;
    loop {
        wait_until_open(&mut mode).await?;
        let read = tokio::select! {
            biased;
            changed = mode.changed() => {
                changed.map_err(|_| aborted())?;
                forwarded = 0;
                continue;
            }
            read = from.read(&mut buffer) => read?,
        };
        if read == 0 {
            return to.shutdown().await;
        }
        let mut chunk = &buffer[..read];
        match wait_until_open(&mut mode).await? {
            Mode::Delay(delay) => sleep(delay).await,
            Mode::LoseAnswers if is_response => continue,
            Mode::CutAfter(limit) if is_response => {
                chunk = &chunk[..chunk.len().min(limit.saturating_sub(forwarded))];
                forwarded += chunk.len();
                to.write_all(chunk).await?;
                if forwarded >= limit {
                    return Err(aborted());
                }
                continue;
            }
            _ => {}
        }
        to.write_all(chunk).await?;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    /// A server that echoes what it receives.
    async fn echo() -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await.ok();
                });
            }
        });
        (address, serving)
    }

    async fn proxy() -> (FaultProxy, JoinSet<()>) {
        let (address, serving) = echo().await;
        (FaultProxy::new(address).await, serving)
    }

    async fn connect(proxy: &FaultProxy) -> TcpStream {
        TcpStream::connect(proxy.address()).await.unwrap()
    }

    /// Sends `text` and reads as many bytes back, or fewer if the connection ends before that.
    async fn exchange(stream: &mut TcpStream, text: &[u8]) -> Vec<u8> {
        stream.write_all(text).await.ok();
        let mut back = Vec::new();
        stream.take(text.len() as u64).read_to_end(&mut back).await.ok();
        back
    }

    #[tokio::test]
    async fn forwards_and_delays() {
        let (proxy, _echo) = proxy().await;
        let mut stream = connect(&proxy).await;
        assert_eq!(exchange(&mut stream, b"woof").await, b"woof");
        proxy.set(Mode::Delay(Duration::from_millis(60)));
        let started = Instant::now();
        assert_eq!(exchange(&mut stream, b"woof").await, b"woof");
        assert!(started.elapsed() >= Duration::from_millis(120), "once in each direction");
        drop(stream);
    }

    #[tokio::test]
    async fn drops_open_and_new_connections() {
        let (proxy, _echo) = proxy().await;
        let mut stream = connect(&proxy).await;
        assert_eq!(exchange(&mut stream, b"woof").await, b"woof");
        proxy.set(Mode::Drop);
        let mut rest = Vec::new();
        timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await.unwrap().ok();
        assert_eq!(rest, b"");
        assert_eq!(exchange(&mut connect(&proxy).await, b"woof").await, b"");
        proxy.set(Mode::Pass);
        assert_eq!(exchange(&mut connect(&proxy).await, b"woof").await, b"woof");
    }

    #[tokio::test]
    async fn forwards_nothing_in_a_black_hole() {
        let (proxy, _echo) = proxy().await;
        let mut old = connect(&proxy).await;
        assert_eq!(exchange(&mut old, b"woof").await, b"woof");
        proxy.set(Mode::BlackHole);
        let mut new = connect(&proxy).await;
        for stream in [&mut old, &mut new] {
            let silence = timeout(Duration::from_millis(50), exchange(stream, b"bark")).await;
            assert!(silence.is_err(), "{silence:?}");
        }
        proxy.set(Mode::Pass);
        for stream in [&mut old, &mut new] {
            let mut back = [0; 4];
            timeout(Duration::from_secs(10), stream.read_exact(&mut back)).await.unwrap().unwrap();
            assert_eq!(&back, b"bark");
        }
    }

    #[tokio::test]
    async fn discards_responses() {
        let (proxy, _echo) = proxy().await;
        let mut stream = connect(&proxy).await;
        assert_eq!(exchange(&mut stream, b"woof").await, b"woof");
        proxy.set(Mode::LoseAnswers);
        let silence = timeout(Duration::from_millis(100), exchange(&mut stream, b"bark")).await;
        assert!(silence.is_err(), "{silence:?}");
        proxy.set(Mode::Pass);
        assert_eq!(exchange(&mut stream, b"yelp").await, b"yelp", "discarded data is never sent");
    }

    #[tokio::test]
    async fn closes_in_the_middle_of_a_response() {
        let (proxy, _echo) = proxy().await;
        proxy.set(Mode::CutAfter(6));
        let mut stream = connect(&proxy).await;
        assert_eq!(exchange(&mut stream, b"woof").await, b"woof");
        assert_eq!(exchange(&mut stream, b"woof").await, b"wo");
    }
}
