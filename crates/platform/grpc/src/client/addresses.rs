//! The addresses of a server: what is configured, what host names resolve to, and the state of each.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use kennel_core::BoxError;
use rustls::RootCertStore;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint, Uri};
use tower::service_fn;

use super::config::GrpcClientTuning;
use super::metrics::AddressGauges;

/// How long a call without an address waits for another connection attempt.
const PATIENCE: Duration = Duration::from_millis(250);

/// Parses `http://host:port` or `https://host:port`.
pub(crate) fn parse_url(url: &str) -> Option<Uri> {
    let uri: Uri = url.trim().parse().ok()?;
    let authority = uri.authority()?;
    let is_origin = (is_https(&uri) || uri.scheme_str() == Some("http"))
        && matches!(uri.path(), "" | "/")
        && uri.query().is_none()
        && !authority.as_str().contains('@')
        && authority.port_u16().is_some();
    is_origin.then_some(uri)
}

pub(crate) fn is_https(url: &Uri) -> bool {
    url.scheme_str() == Some("https")
}

/// A configured URL, with what the connections to its addresses share.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    endpoint: Endpoint,
    connect_timeout: Duration,
}

impl Origin {
    /// With `roots`, connections have TLS: the server needs a certificate for the host of the URL that one of them has issued.
    pub(crate) fn new(
        url: Uri,
        roots: Option<&RootCertStore>,
        tuning: &GrpcClientTuning,
    ) -> Result<Self, tonic::transport::Error> {
        let endpoint = Endpoint::from(url)
            .http2_keep_alive_interval(tuning.keepalive_interval)
            .keep_alive_timeout(tuning.keepalive_timeout)
            .keep_alive_while_idle(true);
        let endpoint = match roots {
            Some(roots) => {
                let trusted = ClientTlsConfig::new().trust_anchors(roots.roots.iter().cloned());
                endpoint.tls_config(trusted.timeout(tuning.connect_timeout))?
            }
            None => endpoint,
        };
        Ok(Self { endpoint, connect_timeout: tuning.connect_timeout })
    }

    /// The addresses of the host.
    pub(crate) async fn resolve(&self) -> Result<Vec<SocketAddr>, BoxError> {
        let authority = self.endpoint.uri().authority().ok_or("the URL has no host")?;
        Ok(lookup_host(authority.as_str()).await?.collect())
    }

    /// A channel to one address, which connects when it is used.
    pub(crate) fn channel(&self, address: SocketAddr) -> Channel {
        let limit = self.connect_timeout;
        self.endpoint.connect_with_connector_lazy(service_fn(move |_: Uri| connect(address, limit)))
    }
}

async fn connect(address: SocketAddr, limit: Duration) -> io::Result<TokioIo<TcpStream>> {
    let stream = timeout(limit, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

/// Whether an address gets calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddressState {
    /// Not known yet.
    Connecting,
    /// The server is ready: it gets calls.
    Serving,
    /// The server answers that it is not ready.
    NotServing,
    /// The server does not answer.
    Unreachable,
}

impl AddressState {
    pub(crate) const ALL: [Self; 4] = [Self::Connecting, Self::Serving, Self::NotServing, Self::Unreachable];
}

/// One address.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) socket: SocketAddr,
    pub(crate) channel: Channel,
    pub(crate) state: AddressState,
}

/// No address can take a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAddress {
    /// The names have no addresses, or cannot be resolved.
    #[error("the server has no address")]
    None,
    /// There are addresses.
    #[error("no address of the server is serving")]
    NotServing,
}

#[derive(Debug, Clone, Default)]
struct Snapshot {
    /// Whether the names were resolved once, with or without success.
    resolved: bool,
    addresses: Vec<Address>,
}

/// The addresses of a server. Whoever calls waits while it is not known which of them serve.
#[derive(Debug)]
pub(crate) struct Addresses {
    snapshot: watch::Sender<Snapshot>,
    /// Counts calls, which take turns.
    turn: AtomicUsize,
    /// Notified by calls that find no address that serves.
    demand: Notify,
    gauges: AddressGauges,
}

impl Addresses {
    pub(crate) fn new(gauges: AddressGauges) -> Self {
        let (snapshot, turn) = (watch::Sender::default(), AtomicUsize::default());
        Self { snapshot, turn, demand: Notify::new(), gauges }
    }

    /// Replaces the addresses after their names were resolved. One that is known has its state still.
    pub(crate) fn replace(&self, mut addresses: Vec<Address>) {
        self.change(|snapshot| {
            for address in &mut addresses {
                if let Some(known) = snapshot.addresses.iter().find(|known| known.socket == address.socket) {
                    address.state = known.state;
                }
            }
            *snapshot = Snapshot { resolved: true, addresses };
        });
    }

    /// The current addresses.
    pub(crate) fn all(&self) -> Vec<Address> {
        self.snapshot.borrow().addresses.clone()
    }

    /// Records the state of an address.
    pub(crate) fn set(&self, address: SocketAddr, state: AddressState) {
        self.change(|snapshot| {
            if let Some(known) = snapshot.addresses.iter_mut().find(|known| known.socket == address) {
                known.state = state;
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        self.snapshot.send_modify(|snapshot| {
            change(snapshot);
            let count = |state| snapshot.addresses.iter().filter(|address| address.state == state).count();
            self.gauges.set(AddressState::ALL.map(|state| (state, count(state))));
        });
    }

    /// The next address that serves: of those that are not in `tried`, if there are any. Waits while it is not known which
    /// serve. If none does, makes the watchers connect again now, and waits a moment for what comes of it.
    pub(crate) async fn pick(&self, tried: &[SocketAddr]) -> Result<Address, NoAddress> {
        let mut changes = self.snapshot.subscribe();
        let mut patience = pin!(sleep(PATIENCE));
        let mut waited = false;
        loop {
            let found = self.pick_from(&changes.borrow_and_update(), tried);
            match found {
                Some(Err(_)) if !waited => {
                    self.demand.notify_waiters();
                    tokio::select! {
                        _ = changes.changed() => {}
                        () = &mut patience => {}
                    }
                    waited = true;
                }
                Some(found) => return found,
                // The sender lives as long as `self`.
                None => changes.changed().await.unwrap_or_default(),
            }
        }
    }

    /// `None` while it is not known which addresses serve.
    fn pick_from(&self, snapshot: &Snapshot, tried: &[SocketAddr]) -> Option<Result<Address, NoAddress>> {
        let serving = || snapshot.addresses.iter().filter(|address| address.state == AddressState::Serving);
        let untried: Vec<_> = serving().filter(|address| !tried.contains(&address.socket)).collect();
        let candidates = if untried.is_empty() { serving().collect() } else { untried };
        if !candidates.is_empty() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            return Some(Ok(candidates[turn % candidates.len()].clone()));
        }
        let unknown = snapshot.addresses.iter().any(|address| address.state == AddressState::Connecting);
        if !snapshot.resolved || unknown {
            return None;
        }
        Some(Err(if snapshot.addresses.is_empty() { NoAddress::None } else { NoAddress::NotServing }))
    }

    /// Completes when a call finds no address that serves, from the time at which this is enabled or polled.
    pub(crate) fn demand(&self) -> Notified<'_> {
        self.demand.notified()
    }

    /// Whether an address serves, as far as it is known.
    pub(crate) fn is_serving(&self) -> bool {
        self.snapshot.borrow().addresses.iter().any(|address| address.state == AddressState::Serving)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_plain_urls_with_a_port() {
        for valid in ["http://localhost:50051", " http://127.0.0.1:1/ ", "http://[::1]:50051", "https://a:1"] {
            assert!(parse_url(valid).is_some(), "{valid}");
        }
        for invalid in [
            "",
            "localhost:50051",
            "http://localhost",
            "https://a",
            "ftp://a:1",
            "http://u@a:1",
            "http://a:1/path",
            "http://a:1?b",
        ] {
            assert!(parse_url(invalid).is_none(), "{invalid}");
        }
    }

    fn addresses(states: &[AddressState]) -> Addresses {
        let addresses = Addresses::new(AddressGauges::unregistered());
        let url = parse_url("http://localhost:1").unwrap();
        let origin = Origin::new(url, None, &GrpcClientTuning::default()).unwrap();
        let address = |(port, state): (u16, &AddressState)| {
            let socket = SocketAddr::from(([127, 0, 0, 1], port));
            let channel = origin.channel(socket);
            Address { socket, channel, state: *state }
        };
        addresses.replace((1..).zip(states).map(address).collect());
        addresses
    }

    async fn ports(addresses: &Addresses, tried: &[SocketAddr]) -> Vec<u16> {
        let mut ports = Vec::new();
        for _ in 0..4 {
            ports.push(addresses.pick(tried).await.unwrap().socket.port());
        }
        ports
    }

    #[tokio::test]
    async fn calls_take_turns_on_the_addresses_that_serve() {
        use AddressState::{Connecting, NotServing, Serving, Unreachable};
        let all = addresses(&[Serving, NotServing, Serving, Unreachable, Connecting]);
        assert_eq!(ports(&all, &[]).await, [1, 3, 1, 3]);
        assert_eq!(ports(&all, &[([127, 0, 0, 1], 1).into()]).await, [3, 3, 3, 3], "a retry goes to another one");
        all.set(([127, 0, 0, 1], 3).into(), NotServing);
        assert_eq!(ports(&all, &[([127, 0, 0, 1], 1).into()]).await, [1, 1, 1, 1], "if there is another one");
        all.set(([127, 0, 0, 1], 1).into(), Unreachable);
        all.set(([127, 0, 0, 1], 5).into(), Unreachable);
        assert_eq!(all.pick(&[]).await.unwrap_err(), NoAddress::NotServing);
        assert_eq!(addresses(&[]).pick(&[]).await.unwrap_err(), NoAddress::None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_until_the_state_is_known() {
        let address = ([127, 0, 0, 1], 1).into();
        let one = addresses(&[AddressState::Connecting]);
        let later = async {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            one.set(address, AddressState::Serving);
        };
        let (picked, ()) = tokio::join!(one.pick(&[]), later);
        assert_eq!(picked.unwrap().socket, address);
    }
}
