//! One connection.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep_until;

use crate::measured::is_success;
use crate::{Load, Measured, OnResponse};

/// The most bytes of a response's head.
const MAX_HEAD: usize = 64 * 1024;

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Where a response in the buffer ends.
struct Parsed {
    status: u16,
    body: usize,
    end: usize,
}

pub(crate) struct Caller {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Caller {
    pub(crate) async fn connect(server: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(server).await.with_context(|| format!("cannot connect to {server}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Repeats random ones of `requests`, which are numbered by their kinds, until the time.
    pub(crate) async fn repeat(
        &mut self,
        requests: &[(usize, Vec<u8>)],
        seed: u64,
        mut pace: Pace,
        until: Instant,
        on_response: &OnResponse,
        measured: &mut [Measured],
    ) -> anyhow::Result<()> {
        let mut random = Random(seed);
        loop {
            pace.wait().await;
            let sent = Instant::now();
            if sent >= until {
                return Ok(());
            }
            let (kind, request) = &requests[random.below(requests.len())];
            let parsed = self.round_trip(request).await?;
            measured[*kind].record(parsed.status, sent.elapsed());
            if is_success(parsed.status) {
                on_response(*kind, &self.buffer[parsed.body..parsed.end]);
            }
        }
    }

    pub(crate) async fn send(mut self, request: &[u8]) -> anyhow::Result<Response> {
        let parsed = self.round_trip(request).await?;
        Ok(Response { status: parsed.status, body: self.buffer[parsed.body..parsed.end].to_vec() })
    }

    /// Sends a request and reads the whole response into the buffer.
    async fn round_trip(&mut self, request: &[u8]) -> anyhow::Result<Parsed> {
        self.buffer.clear();
        self.stream.write_all(request).await.context("the server does not read the request")?;
        let mut parsed = None;
        loop {
            if self.stream.read_buf(&mut self.buffer).await.context("the response breaks off")? == 0 {
                bail!("the server closed the connection");
            }
            if parsed.is_none() {
                parsed = parse(&self.buffer)?;
            }
            if let Some(parsed) = parsed.take_if(|parsed| parsed.end <= self.buffer.len()) {
                return Ok(parsed);
            }
        }
    }
}

/// Reads the head of a response; `None` if it is not complete.
fn parse(bytes: &[u8]) -> anyhow::Result<Option<Parsed>> {
    let Some(body) = bytes.windows(4).position(|end| end == b"\r\n\r\n").map(|end| end + 4) else {
        anyhow::ensure!(bytes.len() <= MAX_HEAD, "the head of the response has more than {MAX_HEAD} bytes");
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..body]).context("the head of the response is not text")?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status: u16 = status.context("the response has no status")?;
    let mut headers = lines.filter_map(|line| line.split_once(':'));
    let length = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length")).map(|(_, value)| value.trim());
    let length: usize = match length {
        Some(length) => length.parse().context("the content-length is no number")?,
        None if status == 204 || status == 304 => 0,
        None => bail!("the response has no content-length"),
    };
    Ok(Some(Parsed { status, body, end: body + length }))
}

/// When a caller may send its next request.
pub(crate) struct Pace {
    next: Instant,
    interval: Duration,
}

impl Pace {
    /// The pace of one of the callers of `load`, which are numbered from 1.
    pub(crate) fn new(started: Instant, load: Load, caller: usize) -> Self {
        let callers = u32::try_from(load.callers).unwrap_or(u32::MAX).max(1);
        let turn = load.interval / callers * u32::try_from(caller).unwrap_or(u32::MAX).min(callers);
        Self { next: started + turn, interval: load.interval }
    }

    async fn wait(&mut self) {
        if !self.interval.is_zero() {
            sleep_until(self.next.into()).await;
            self.next += self.interval;
        }
    }
}

/// Pseudo-random numbers by xorshift64 (Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap_or(0)
    }
}
