//! The handshake of a connection, limited in time.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::metrics::Outcome;
use super::{Protocols, ServerTls};

/// The type of a TLS record with which a handshake begins.
const HANDSHAKE_RECORD: u8 = 0x16;
/// What a client gets that speaks HTTP/1.1 without TLS; others see that the connection is closed.
const PLAIN_RESPONSE: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: application/problem+json\r\ncontent-length: 129\r\nconnection: close\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,\"code\":\"malformed\",\
    \"detail\":\"this port needs TLS: use a https URL here\"}";

/// The handshake did not complete.
pub(crate) struct Refused;

impl ServerTls {
    /// Completes the handshake. Whatever the client does wrong concerns this connection only.
    pub(crate) async fn handshake(
        &self,
        stream: TcpStream,
        protocols: Protocols,
    ) -> Result<Box<TlsStream<TcpStream>>, Refused> {
        let outcome = timeout(self.0.config.tuning.handshake_timeout, self.accept(stream, protocols)).await;
        let (outcome, result) = match outcome {
            Ok(Ok(stream)) => (Outcome::Ok, Ok(Box::new(stream))),
            Ok(Err(Some(error))) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "tls handshake failed");
                (Outcome::Failed, Err(Refused))
            }
            Ok(Err(None)) => (Outcome::WithoutTls, Err(Refused)),
            Err(_) => (Outcome::Timeout, Err(Refused)),
        };
        self.0.metrics.handshake(outcome);
        result
    }

    /// Fails without an error for a client that does not speak TLS.
    async fn accept(&self, stream: TcpStream, protocols: Protocols) -> Result<TlsStream<TcpStream>, Option<io::Error>> {
        let mut first = [0];
        match stream.peek(&mut first).await? {
            0 => return Err(Some(io::ErrorKind::UnexpectedEof.into())),
            _ if first[0] != HANDSHAKE_RECORD => {
                refuse(stream, first[0]).await;
                return Err(None);
            }
            _ => {}
        }
        // Waiting for the client costs nothing, and no permit: a slow client must not block others. The worker threads bound
        // how many handshakes compute at once, and the connections how many wait.
        Ok(TlsAcceptor::from(self.current(protocols)).accept(stream).await?)
    }
}

/// Answers a request without TLS, if it may be one. What it has sent is read first: unread data would reset the connection.
async fn refuse(mut stream: TcpStream, first: u8) {
    if first.is_ascii_uppercase() {
        let mut head = [0; 4 * 1024];
        if stream.read(&mut head).await.is_ok() && stream.write_all(PLAIN_RESPONSE).await.is_ok() {
            stream.shutdown().await.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_has_the_length_of_its_body() {
        let text = std::str::from_utf8(PLAIN_RESPONSE).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{} {body}", body.len());
        assert!(body.starts_with('{') && body.ends_with('}'));
    }
}
