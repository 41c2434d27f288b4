//! Callers that make dogs without a pause, one at a time each, and keep account of what became of each request.

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

/// What became of one caller's requests, by the names of their dogs.
#[derive(Debug, Default)]
pub struct Account {
    /// They were answered as they should.
    pub answered: Vec<String>,
    /// The connection was closed before there was any answer.
    pub unanswered: Vec<String>,
}

/// Counts the answers of all callers.
pub type Answers = Arc<AtomicUsize>;

/// Calls over kept-alive HTTP connections until connections are refused. Any answer but 201 fails the test.
pub async fn http(address: SocketAddr, caller: usize, answers: Answers) -> Account {
    let mut account = Account::default();
    let mut number = 0;
    loop {
        let Some(mut stream) = connect(address).await else { return account };
        let mut open = true;
        while open {
            let name = format!("http {caller} {number}");
            number += 1;
            let Some(goes_on) = post(&mut stream, address, &name).await else {
                account.unanswered.push(name);
                break;
            };
            assert!(account.unanswered.is_empty(), "a request failed while others were still taken");
            account.answered.push(name);
            answers.fetch_add(1, Ordering::SeqCst);
            open = goes_on;
        }
    }
}

/// A connection; `None` once nobody takes any.
async fn connect(address: SocketAddr) -> Option<TcpStream> {
    let error = match TcpStream::connect(address).await {
        Ok(stream) => return Some(stream),
        Err(error) => error,
    };
    // The listener may close between the two halves of a connection.
    assert!(matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset), "{error}");
    None
}

/// Makes a dog; whether the connection can be used again, `None` when it was closed without any answer.
async fn post(stream: &mut TcpStream, address: SocketAddr, name: &str) -> Option<bool> {
    let body = format!(r#"{{"breed":"husky","name":"{name}"}}"#);
    let head = format!("POST /api/v1/dogs HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n");
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    let head = loop {
        if let Some(end) = answer.windows(4).position(|end| end == b"\r\n\r\n") {
            break String::from_utf8(answer[..end + 4].to_vec()).unwrap().to_ascii_lowercase();
        }
        if !matches!(stream.read_buf(&mut answer).await, Ok(1..)) {
            assert!(answer.is_empty(), "an answer was cut off: {}", String::from_utf8_lossy(&answer));
            return None;
        }
    };
    assert!(head.starts_with("http/1.1 201 "), "{}", String::from_utf8_lossy(&answer));
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("answers tell their length");
    let whole = head.len() + length.parse::<usize>().unwrap();
    while answer.len() < whole {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "an answer was cut off");
    }
    Some(!head.contains("connection: close"))
}

/// Calls over one gRPC connection until connections are refused. Any status that the service sends fails the test.
pub async fn grpc(address: SocketAddr, caller: usize, answers: Answers) -> Account {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut dogs = DogServiceClient::new(channel);
    let mut account = Account::default();
    for number in 0.. {
        let name = format!("grpc {caller} {number}");
        let request =
            CreateDogRequest { breed: "husky".to_owned(), name: Some(name.clone()), ..CreateDogRequest::default() };
        match dogs.create_dog(request).await {
            Ok(_) => {
                account.answered.push(name);
                answers.fetch_add(1, Ordering::SeqCst);
            }
            Err(status) => {
                assert!(status.source().is_some() && status.details().is_empty(), "the service refused: {status:?}");
                account.unanswered.push(name);
                assert!(connect(address).await.is_none(), "connections are still taken");
                break;
            }
        }
    }
    account
}
