//! Who may call what, at running services: every operation is called by nobody, and by a caller of each scope.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

/// The scope of a caller who may call nothing that needs one.
const OTHER_SCOPE: &str = "other:scope";
/// A call that takes longer was not refused.
const LIMIT: Duration = Duration::from_secs(10);

/// The operations of a service, `GET /dogs/{id}` or `dogs.v1.DogService/GetDog`, with the scope that each needs; `None` for those that
/// everyone may call.
pub type Operations = BTreeMap<String, Option<String>>;

/// Callers with API keys, one for each scope.
#[derive(Debug, Clone)]
pub struct Callers(BTreeSet<String>);

/// Where a service listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// Its HTTP server.
    pub http: Option<SocketAddr>,
    /// Its gRPC server.
    pub grpc: Option<SocketAddr>,
}

impl Callers {
    /// Callers for all scopes of these services, and one with a scope that none of them knows.
    pub fn of<'a>(services: impl IntoIterator<Item = &'a Operations>) -> Self {
        let scopes = services.into_iter().flat_map(|operations| operations.values().flatten().cloned());
        Self(scopes.chain([OTHER_SCOPE.to_owned()]).collect())
    }

    /// The value of `AUTH_API_KEYS`.
    pub fn api_keys(&self) -> String {
        self.0.iter().fold(String::new(), |mut keys, scope| {
            write!(keys, "{scope} {:x} {scope};", Sha256::digest(key(scope))).expect("a text can be written to");
            keys
        })
    }

    /// Calls each operation of a service without an API key and as each caller.
    ///
    /// # Panics
    ///
    /// When a caller may call more or less than the operation's scope says.
    pub async fn call(&self, service: Addresses, operations: &Operations) {
        let channel = service
            .grpc
            .map(|grpc| Endpoint::from_shared(format!("http://{grpc}")).expect("a valid address").connect_lazy());
        let callers = [None].into_iter().chain(self.0.iter().map(|scope| Some(scope.as_str())));
        for (operation, needed) in operations {
            for scope in callers.clone() {
                let key = scope.map(key);
                let found = match (operation.split_once(' '), &channel) {
                    (Some((method, route)), _) => {
                        status(service.http.expect("it has an HTTP server"), method, &path(route), key.as_deref()).await
                    }
                    (None, channel) => {
                        let channel = channel.clone().expect("it has a gRPC server");
                        code(channel, operation, key.as_deref()).await
                    }
                };
                let expected = match (needed.as_deref(), scope) {
                    (None, _) => Answer::Allowed,
                    (Some(_), None) => Answer::Unauthenticated,
                    (Some(needed), Some(scope)) if needed == scope => Answer::Allowed,
                    (Some(_), Some(_)) => Answer::Forbidden,
                };
                assert_eq!(found, expected, "{operation} as {scope:?}");
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Whatever the handler says.
    Allowed,
    Unauthenticated,
    Forbidden,
}

fn key(scope: &str) -> String {
    format!("the key of {scope}")
}

/// A path with something for each variable.
fn path(route: &str) -> String {
    route.split('/').map(|segment| if segment.starts_with('{') { "x" } else { segment }).collect::<Vec<_>>().join("/")
}

/// Sends a request without a body, and reads the status only: the response may be a stream.
async fn status(address: SocketAddr, method: &str, path: &str, key: Option<&str>) -> Answer {
    let key = key.map(|key| format!("x-api-key: {key}\r\n")).unwrap_or_default();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\n{key}\r\n");
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut line = [0; "HTTP/1.1 200".len()];
        stream.read_exact(&mut line).await?;
        std::io::Result::Ok(String::from_utf8_lossy(&line[line.len() - 3..]).into_owned())
    };
    match tokio::time::timeout(LIMIT, exchange).await {
        Ok(status) => match status.expect("the service responds").as_str() {
            "401" => Answer::Unauthenticated,
            "403" => Answer::Forbidden,
            _ => Answer::Allowed,
        },
        Err(_) => Answer::Allowed,
    }
}

/// Sends an empty message, and reads no message of the response.
async fn code(channel: Channel, method: &str, key: Option<&str>) -> Answer {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.expect("the service responds");
    let mut request = Request::new(());
    request.set_timeout(LIMIT);
    if let Some(key) = key {
        request.metadata_mut().insert("x-api-key", key.parse().expect("a valid value"));
    }
    let path = format!("/{method}").parse().expect("a valid path");
    let answer = grpc.server_streaming(request, path, ProstCodec::<(), ()>::default()).await;
    match answer.map_err(|status| status.code()) {
        Err(Code::Unauthenticated) => Answer::Unauthenticated,
        Err(Code::PermissionDenied) => Answer::Forbidden,
        _ => Answer::Allowed,
    }
}
