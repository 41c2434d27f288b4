//! Opens connections, to public addresses only unless others are allowed.

use std::io;
use std::time::Duration;

use kennel_client::AddressPolicy;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use url::Url;

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Larger than any frame of a venue.
const MAX_MESSAGE: usize = 4 << 20;

/// Connects to a venue.
pub(crate) async fn connect(url: &Url, policy: &AddressPolicy) -> Result<Socket, Error> {
    // Whoever is first sets the cryptography of the process.
    rustls::crypto::ring::default_provider().install_default().ok();
    let connect = async {
        let stream = tcp(url, policy).await?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
        let (socket, _) = client_async_tls_with_config(url.as_str(), stream, Some(config), None).await?;
        Ok(socket)
    };
    timeout(CONNECT_TIMEOUT, connect).await.unwrap_or_else(|elapsed| Err(io::Error::from(elapsed).into()))
}

/// Connects to the first address that the policy allows and that answers.
async fn tcp(url: &Url, policy: &AddressPolicy) -> io::Result<TcpStream> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port().unwrap_or(if url.scheme() == "wss" { 443 } else { 80 });
    let mut last = io::Error::new(io::ErrorKind::NotFound, "host has no address");
    for address in lookup_host((host, port)).await? {
        if let Err(refusal) = policy.check_address(address.ip()) {
            last = io::Error::other(refusal);
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
