//! HTTP/1.1 load on one server, for benchmarks: callers with a connection each repeat prepared requests.
//!
//! All callers share one thread, and a request is bytes that are sent as they are, so that the load costs little of a
//! machine that it shares with the server.

mod caller;
mod measured;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;

pub use self::caller::Response;
use self::caller::{Caller, Pace};
pub use self::measured::{Measured, median};

/// Who calls, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// The server.
    pub server: SocketAddr,
    /// The number of callers, each with one request at a time.
    pub callers: usize,
    /// The duration.
    pub duration: Duration,
    /// Time from the start of a caller's request to that of its next one, which follows at once if the response was late.
    /// The callers take turns within it, so that their requests arrive evenly. Zero for as many requests as possible.
    pub interval: Duration,
}

/// What receives the body of each successful response, with the kind of its request.
pub(crate) type OnResponse = dyn Fn(usize, &[u8]) + Send + Sync;

impl Load {
    /// Sends `requests` in random order, and measures the time from the first byte sent to the last one received.
    ///
    /// Fails if the server cannot be reached, closes a connection or responds without `content-length`. A response that
    /// is not a success counts as a failure. Blocks the thread.
    pub fn run(self, requests: &[Vec<u8>]) -> anyhow::Result<Measured> {
        let requests: Vec<_> = requests.iter().map(|request| (0, request.clone())).collect();
        Ok(self.run_kinds(&requests, |_, _| {})?.pop().unwrap_or_default())
    }

    /// The same with requests of several kinds, each with the number of its kind; a request that occurs twice is sent twice
    /// as often. Returns what was measured of each kind.
    pub fn run_kinds(
        self,
        requests: &[(usize, Vec<u8>)],
        on_response: impl Fn(usize, &[u8]) + Send + Sync + 'static,
    ) -> anyhow::Result<Vec<Measured>> {
        let kinds = requests.iter().map(|(kind, _)| kind + 1).max().context("there are no requests to send")?;
        let requests: Arc<[(usize, Vec<u8>)]> = requests.into();
        let on_response: Arc<OnResponse> = Arc::new(on_response);
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async move {
                let (mut callers, started) = (JoinSet::new(), Instant::now());
                for seed in 1..=self.callers {
                    let pace = Pace::new(started, self, seed);
                    let mut caller = Caller::connect(self.server).await?;
                    let (requests, on_response) = (Arc::clone(&requests), Arc::clone(&on_response));
                    let mut measured = vec![Measured::default(); kinds];
                    callers.spawn(async move {
                        let until = started + self.duration;
                        caller.repeat(&requests, seed as u64, pace, until, &*on_response, &mut measured).await?;
                        anyhow::Ok(measured)
                    });
                }
                let mut measured = vec![Measured::default(); kinds];
                while let Some(ended) = callers.join_next().await {
                    let of_caller = ended.context("a caller panicked")??;
                    measured.iter_mut().zip(of_caller).for_each(|(kind, of_caller)| kind.add(of_caller));
                }
                let took = started.elapsed();
                for kind in &mut measured {
                    kind.took = took;
                }
                Ok(measured)
            })
        };
        thread::spawn(work).join().map_err(|_| anyhow::anyhow!("the load panicked"))?
    }
}

/// Sends one request, and returns the response.
pub fn send(server: SocketAddr, request: &[u8]) -> anyhow::Result<Response> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Caller::connect(server).await?.send(request).await })
}

/// The bytes of a GET request.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: load\r\n\r\n").into_bytes()
}

/// The bytes of a DELETE request.
pub fn delete(path: &str) -> Vec<u8> {
    format!("DELETE {path} HTTP/1.1\r\nhost: load\r\n\r\n").into_bytes()
}

/// The bytes of a POST request.
pub fn post(path: &str, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: load\r\ncontent-type: {content_type}\r\ncontent-length: {length}");
    format!("{head}\r\n\r\n{body}").into_bytes()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// A server that sends `response` to every request without a body.
    fn server(response: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || answer(stream, response));
            }
        });
        address
    }

    fn answer(mut stream: std::net::TcpStream, response: &str) {
        let (mut seen, mut chunk) = (Vec::new(), [0; 1024]);
        while let Ok(length @ 1..) = stream.read(&mut chunk) {
            seen.extend_from_slice(&chunk[..length]);
            if seen.ends_with(b"\r\n\r\n") {
                seen.clear();
                // In two pieces, as the network may deliver it.
                let (head, rest) = response.split_at(response.len() / 2);
                if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(rest.as_bytes())).is_err() {
                    return;
                }
            }
        }
    }

    fn load(response: &'static str) -> anyhow::Result<Measured> {
        let (callers, duration) = (3, Duration::from_millis(100));
        Load { server: server(response), callers, duration, interval: Duration::ZERO }.run(&[get("/a"), get("/b")])
    }

    #[test]
    fn responses_are_counted_and_timed() {
        let measured = load("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
        assert!(measured.responses() >= 3, "{measured:?}");
        assert_eq!(measured.failed(), 0);
        assert!(measured.rate() > 0.0);
        let (median, p99) = (measured.percentile(0.5), measured.percentile(0.99));
        assert!(median <= p99 && p99 <= measured.took, "{median:?} {p99:?}");
    }

    #[test]
    fn errors_are_failures_and_not_responses() {
        let measured = load("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").unwrap();
        assert_eq!((measured.responses(), measured.failures().keys().copied().collect()), (0, vec![503]));
        assert!(measured.failed() >= 3);
    }

    #[test]
    fn callers_do_not_send_more_often_than_their_interval() {
        let server = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        let (duration, interval) = (Duration::from_millis(200), Duration::from_millis(50));
        let measured = Load { server, callers: 3, duration, interval }.run(&[get("/")]).unwrap();
        assert!((1..=3 * 4).contains(&measured.responses()), "{measured:?}");
    }

    #[test]
    fn kinds_are_measured_by_themselves() {
        let server = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        let load = Load { server, callers: 2, duration: Duration::from_millis(200), interval: Duration::ZERO };
        let bodies = Arc::new(std::sync::Mutex::new([0, 0]));
        let seen = Arc::clone(&bodies);
        let requests = [(0, get("/a")), (0, get("/a")), (0, get("/a")), (1, get("/b"))];
        let on_response = move |kind: usize, body: &[u8]| seen.lock().unwrap()[kind] += usize::from(body == b"ok");
        let measured = load.run_kinds(&requests, on_response).unwrap();
        let responses: Vec<_> = measured.iter().map(Measured::responses).collect();
        assert_eq!(responses, *bodies.lock().unwrap());
        assert!(responses[0] > responses[1] && responses[1] > 0, "{responses:?}");
        assert!(load.run_kinds(&[], |_, _| {}).is_err());
    }

    #[test]
    fn a_response_without_a_length_is_refused() {
        let error = load("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap_err();
        assert!(error.to_string().contains("content-length"), "{error}");
    }

    #[test]
    fn one_request_has_its_status_and_body() {
        let server = server("HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok");
        let response = send(server, &get("/")).unwrap();
        assert_eq!((response.status, &response.body[..]), (201, &b"ok"[..]));
    }
}
