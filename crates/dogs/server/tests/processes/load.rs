//! Callers that create dogs sequentially without a pause, and record the result of each request.

use std::error::Error as _;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kennel_proto::dogs::v1::CreateDogRequest;
use kennel_proto::dogs::v1::dog_service_client::DogServiceClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::transport::Channel;

/// The results of the requests of one caller, by the names of their dogs.
#[derive(Debug, Default)]
pub struct CallerResult {
    /// Requests with a successful response.
    pub completed: Vec<String>,
    /// Requests whose connection was closed before a response.
    pub failed: Vec<String>,
}

/// The number of responses to all callers.
pub type ResponseCount = Arc<AtomicUsize>;

/// Calls over keep-alive HTTP connections until connections are refused. Any response but 201 fails the test.
pub async fn http(address: SocketAddr, caller: usize, responses: ResponseCount) -> CallerResult {
    let mut result = CallerResult::default();
    let mut number = 0;
    loop {
        let Some(mut stream) = connect(address).await else { return result };
        let mut open = true;
        while open {
            let name = format!("http {caller} {number}");
            number += 1;
            let Some(keep_alive) = post(&mut stream, address, &name).await else {
                result.failed.push(name);
                break;
            };
            assert!(result.failed.is_empty(), "a request failed while connections were still accepted");
            result.completed.push(name);
            responses.fetch_add(1, Ordering::SeqCst);
            open = keep_alive;
        }
    }
}

/// Opens a connection; `None` once connections are refused.
async fn connect(address: SocketAddr) -> Option<TcpStream> {
    let error = match TcpStream::connect(address).await {
        Ok(stream) => return Some(stream),
        Err(error) => error,
    };
    // The listener may close during the handshake of a connection.
    assert!(matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset), "{error}");
    None
}

/// Creates a dog. Returns whether the connection can be reused; `None` when it was closed before a response.
async fn post(stream: &mut TcpStream, address: SocketAddr, name: &str) -> Option<bool> {
    let body = format!(r#"{{"breed":"husky","name":"{name}"}}"#);
    let head = format!("POST /api/v1/dogs HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n");
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut response = Vec::new();
    let head = loop {
        if let Some(end) = response.windows(4).position(|end| end == b"\r\n\r\n") {
            break String::from_utf8(response[..end + 4].to_vec()).unwrap().to_ascii_lowercase();
        }
        if !matches!(stream.read_buf(&mut response).await, Ok(1..)) {
            assert!(response.is_empty(), "a response was truncated: {}", String::from_utf8_lossy(&response));
            return None;
        }
    };
    assert!(head.starts_with("http/1.1 201 "), "{}", String::from_utf8_lossy(&response));
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("responses have a length");
    let total = head.len() + length.parse::<usize>().unwrap();
    while response.len() < total {
        assert_ne!(stream.read_buf(&mut response).await.unwrap(), 0, "a response was truncated");
    }
    Some(!head.contains("connection: close"))
}

/// Calls over one gRPC connection until connections are refused. Any status that the service sends fails the test.
pub async fn grpc(address: SocketAddr, caller: usize, responses: ResponseCount) -> CallerResult {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut dogs = DogServiceClient::new(channel);
    let mut result = CallerResult::default();
    for number in 0.. {
        let name = format!("grpc {caller} {number}");
        let request =
            CreateDogRequest { breed: "husky".to_owned(), name: Some(name.clone()), ..CreateDogRequest::default() };
        match dogs.create_dog(request).await {
            Ok(_) => {
                result.completed.push(name);
                responses.fetch_add(1, Ordering::SeqCst);
            }
            Err(status) => {
                assert!(
                    status.source().is_some() && status.details().is_empty(),
                    "the service rejected the request: {status:?}"
                );
                result.failed.push(name);
                assert!(connect(address).await.is_none(), "connections are still accepted");
                break;
            }
        }
    }
    result
}
