//! Listening on an address.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

/// Length of the kernel's queue of connections that are not accepted yet.
const BACKLOG: u32 = 1_024;

/// The address of a server, before and after it is bound.
#[derive(Debug)]
pub struct Listener {
    component: &'static str,
    addr: SocketAddr,
    socket: Option<TcpListener>,
    bound: watch::Sender<Option<SocketAddr>>,
}

/// The address that a server listens on, once it is bound.
#[derive(Debug, Clone)]
pub struct Address(watch::Receiver<Option<SocketAddr>>);

/// The server cannot bind or listen on its address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr}")]
pub struct BindError {
    addr: SocketAddr,
    source: io::Error,
}

impl Listener {
    /// Will listen on `addr`; port 0 picks a free port. `component` is the name of the server in logs.
    pub fn new(component: &'static str, addr: SocketAddr) -> Self {
        Self { component, addr, socket: None, bound: watch::Sender::new(None) }
    }

    /// The name of the component that listens.
    pub const fn component(&self) -> &'static str {
        self.component
    }

    /// The address to listen on, with the port that the system chose.
    pub fn address(&self) -> Address {
        Address(self.bound.subscribe())
    }

    /// Listens, in the `init` of a component, so that a port in use is reported before readiness.
    pub fn bind(&mut self) -> Result<(), BindError> {
        let addr = self.addr;
        let (socket, local) = listen(addr).map_err(|source| BindError { addr, source })?;
        tracing::info!(component = self.component, address = %local, "listening");
        self.socket = Some(socket);
        self.bound.send_replace(Some(local));
        Ok(())
    }

    /// The bound socket. Binds it first if [`Listener::bind`] was not called.
    pub fn into_socket(mut self) -> Result<TcpListener, BindError> {
        if let Some(socket) = self.socket.take() {
            return Ok(socket);
        }
        let addr = self.addr;
        listen(addr).map(|(socket, _)| socket).map_err(|source| BindError { addr, source })
    }
}

fn listen(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    let listener = socket.listen(BACKLOG)?;
    let local = listener.local_addr()?;
    Ok((listener, local))
}

impl Address {
    /// Waits until the server is bound. Returns `None` if the server was dropped before that.
    pub async fn bound(&mut self) -> Option<SocketAddr> {
        *self.0.wait_for(Option::is_some).await.ok()?
    }

    /// The bound address, or `None` before the server is bound.
    pub fn get(&self) -> Option<SocketAddr> {
        *self.0.borrow()
    }
}
