//! Cheap load: each caller has a thread and a connection, and repeats the same bytes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// The number of concurrent callers.
pub(crate) const CALLERS: usize = 16;

/// The kind of request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// One dog from the cache: the cheapest request.
    Read,
    /// Twenty dogs from the database.
    List,
    /// A new dog, with its events.
    Create,
}

/// The result of a measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) requests: u64,
    pub(crate) took: Duration,
    /// The processor time of the service.
    pub(crate) cpu: Duration,
}

impl Measured {
    /// Requests per second.
    #[expect(clippy::cast_precision_loss, reason = "a count of requests is small")]
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }

    /// Microseconds of processor time per request.
    pub(crate) fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / (self.rate() * self.took.as_secs_f64())
    }
}

impl Work {
    pub(crate) const ALL: [Self; 3] = [Self::Read, Self::List, Self::Create];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Read => "read a dog",
            Self::List => "list 20 dogs",
            Self::Create => "create a dog",
        }
    }

    /// The bytes to send.
    pub(crate) fn request(self, dog: &str) -> Vec<u8> {
        match self {
            Self::Read => get(&format!("/{dog}")),
            Self::List => get("?limit=20"),
            Self::Create => post(),
        }
    }
}

fn get(path: &str) -> Vec<u8> {
    format!("GET /api/v1/dogs{path} HTTP/1.1\r\nhost: bench\r\n\r\n").into_bytes()
}

fn post() -> Vec<u8> {
    let dog = r#"{"breed":"husky"}"#;
    let length = dog.len();
    let head = "POST /api/v1/dogs HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json";
    format!("{head}\r\ncontent-length: {length}\r\n\r\n{dog}").into_bytes()
}

/// Creates a dog; returns its id.
pub(crate) fn create(service: SocketAddr) -> String {
    let response = Caller::new(service).send(&post());
    let text = String::from_utf8(response).expect("a response is text");
    let (_, rest) = text.split_once(r#""id":""#).expect("a dog has an id");
    rest.split('"').next().expect("there is a first").to_owned()
}

/// Sends `request` from every caller for the duration, and counts the responses.
pub(crate) fn run(service: SocketAddr, request: &[u8], duration: Duration) -> u64 {
    let until = Instant::now() + duration;
    let caller = || {
        let mut caller = Caller::new(service);
        let mut responses = 0;
        while Instant::now() < until {
            caller.send(request);
            responses += 1;
        }
        responses
    };
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(caller)).collect();
        callers.into_iter().map(|caller| caller.join().expect("a caller ends well")).sum()
    })
}

struct Caller(BufReader<TcpStream>);

impl Caller {
    fn new(service: SocketAddr) -> Self {
        let stream = TcpStream::connect(service).expect("the service listens");
        stream.set_nodelay(true).expect("the connection is there");
        Self(BufReader::new(stream))
    }

    /// The body of the response, which must be successful.
    fn send(&mut self, request: &[u8]) -> Vec<u8> {
        self.0.get_mut().write_all(request).expect("the service takes the request");
        let mut line = self.line();
        assert!(line.starts_with("HTTP/1.1 20"), "{line}");
        let mut length = 0;
        while !line.is_empty() {
            line = self.line();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().expect("a length is a number");
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("the body is whole");
        body
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("the service responds");
        line.truncate(line.trim_end().len());
        line
    }
}
