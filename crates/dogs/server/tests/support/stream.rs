//! Event streams: server-sent events, parsed as browsers do, and gRPC.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use kennel_proto::dogs::v1::WatchDogsResponse;
use serde_json::Value;
use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::TEST_TIMEOUT;

/// Longer than a test reads a stream, also while it restarts a server and waits for events again.
const STREAM_TIMEOUT: Duration = Duration::from_mins(2);

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// Its type.
    pub event: String,
    /// Its data, which is JSON.
    pub data: Value,
}

/// A stream of events.
pub struct Messages {
    /// The position of the stream when it was opened.
    pub position: String,
    chunks: BoxStream<'static, reqwest::Result<Bytes>>,
    text: String,
}

impl Messages {
    /// Opens the stream and waits for its first message.
    pub async fn open(request: reqwest::RequestBuilder) -> Self {
        let request = request.header("accept", "text/event-stream").timeout(STREAM_TIMEOUT);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Self::of(response).await
    }

    /// The stream of a response. Waits for its first message.
    pub async fn of(response: reqwest::Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let chunks = response.bytes_stream().boxed();
        let mut messages = Self { position: String::new(), chunks, text: String::new() };
        // The service sends its position first: from there on, no event is missed.
        while messages.position.is_empty() {
            messages.position = parse(&messages.block().await.unwrap()).id;
        }
        messages
    }

    /// The next event; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            let block = self.block().await?;
            let message = parse(&block);
            if !message.event.is_empty() {
                return Some(message);
            }
        }
    }

    /// The next event. Panics if it has another type.
    #[track_caller]
    pub fn expect(&mut self, event: &str) -> impl Future<Output = Message> {
        let caller = std::panic::Location::caller();
        async move {
            let message =
                self.next().await.unwrap_or_else(|| panic!("the stream ended before `{event}`, expected at {caller}"));
            assert_eq!(message.event, event, "expected at {caller}");
            message
        }
    }

    /// The position that the stream repeats while there are no events.
    pub async fn heartbeat(&mut self) -> String {
        let message = parse(&self.block().await.expect("the stream does not end"));
        assert_eq!(message.event, "", "{message:?}");
        message.id
    }

    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let chunk = timeout(TEST_TIMEOUT, self.chunks.next()).await.expect("an event, or the end");
            self.text.push_str(std::str::from_utf8(&chunk?.unwrap()).unwrap());
        }
    }
}

fn parse(block: &str) -> Message {
    let mut message = Message::default();
    for line in block.lines() {
        match line.split_once(": ").unwrap_or((line, "")) {
            ("id", id) => id.clone_into(&mut message.id),
            ("event", event) => event.clone_into(&mut message.event),
            ("data", data) => message.data = serde_json::from_str(data).unwrap(),
            _ => {}
        }
    }
    message
}

/// The next event of `WatchDogs`, skipping the responses that only have a position; `None` at the end.
pub async fn next_event(watched: &mut Streaming<WatchDogsResponse>) -> Result<Option<WatchDogsResponse>, Status> {
    loop {
        match watched.message().await? {
            Some(response) if response.r#type.is_empty() => {}
            next => return Ok(next),
        }
    }
}
