//! Broadcast subscriptions.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::datetime::DateTime;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::{ErrorCode, Message};
use async_trait::async_trait;
use futures_util::StreamExt as _;
use kennel_core::broker::BrokerError;
use kennel_core::{Delivery, Settle, Subscription};
use tokio::time::{Instant, sleep_until};

use super::{Core, backoff, unavailable, wire};
use crate::Missed;
use crate::group::Overdue;
use crate::unheld::Unheld;

/// Reads a topic from the present on.
pub(super) struct Listener {
    core: Arc<Core>,
    topic: String,
    /// When the stream was created.
    created: DateTime,
    /// The place in the stream behind which to go on.
    last: u64,
    messages: Option<Ordered>,
    /// A message that is handed out once the stream was looked at.
    held: Option<Message>,
    failures: usize,
    failing: Overdue,
    /// Whether events were missed, which the subscriber does not know yet.
    missed: bool,
    /// When to look whether the stream is the same. The driver opens a consumer again in whatever stream there is, and
    /// waits there for numbers that may never come.
    look_at: Instant,
}

impl Listener {
    pub(super) async fn new(core: Arc<Core>, topic: &str) -> Result<Self, BrokerError> {
        let stream = core.jetstream.get_stream(core.names.topic_stream(topic)).await.map_err(unavailable)?;
        let (created, last) = (stream.cached_info().created, stream.cached_info().state.last_sequence);
        let messages = Some(behind(&core, topic, last).await?);
        let (look_at, failing) = (Instant::now() + every(&core), Overdue::default());
        Ok(Self {
            core,
            topic: topic.to_owned(),
            created,
            last,
            messages,
            held: None,
            failures: 0,
            failing,
            missed: false,
            look_at,
        })
    }

    /// The next event; an error ends nothing.
    async fn read(&mut self) -> Result<Delivery, BrokerError> {
        loop {
            if self.messages.is_none() {
                if self.failures > 0 {
                    tokio::time::sleep(backoff(self.failures)).await;
                }
                self.failures += 1;
                self.look().await?;
                continue;
            }
            if self.held.is_none() {
                tokio::select! {
                    biased;
                    message = next_message(&mut self.messages) => match message {
                        Some(message) => self.held = Some(message),
                        None => self.messages = None,
                    },
                    () = sleep_until(self.look_at) => {
                        self.look().await?;
                    }
                }
            }
            // The first of a consumer: the driver may have opened it in another stream.
            let is_first = |held: &Message| held.info().is_ok_and(|info| info.consumer_sequence == 1);
            if self.held.as_ref().is_some_and(is_first) && !self.look().await? {
                tokio::time::sleep(backoff(1)).await;
                continue;
            }
            let Some(message) = self.held.take() else { continue };
            self.failures = 0;
            self.last = message.info().map_err(BrokerError::Corrupt)?.stream_sequence;
            let headers = message.message.headers.clone().unwrap_or_default();
            let event = wire::event(&self.topic, &headers, message.message.payload);
            let event = event.map_err(|error| BrokerError::Corrupt(error.into()))?;
            return Ok(Delivery::new(event, 1, Box::new(Unheld) as Box<dyn Settle>));
        }
    }

    /// Looks whether the stream is still the same, and reads on where it was if nothing is read. False when the server does
    /// not answer. Fails when events were missed, and when the topic could not be read for as long as a lease though there
    /// is a connection.
    async fn look(&mut self) -> Result<bool, BrokerError> {
        self.look_at = Instant::now() + every(&self.core);
        let looked = self.go_on().await;
        match looked {
            Ok(()) => {
                self.failing.clear();
                if std::mem::take(&mut self.missed) { Err(unavailable(Missed)) } else { Ok(true) }
            }
            Err(_) if self.core.client.connection_state() != State::Connected => {
                self.failing.clear();
                Ok(false)
            }
            Err(error) if self.failing.failed(self.core.config.lease) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Events are missed when the stream no longer has what follows: it was kept for too short a time, or the stream is a
    /// new one, which is read from its beginning then.
    async fn go_on(&mut self) -> Result<(), BrokerError> {
        let stream = stream(&self.core, &self.topic).await?;
        let info = stream.cached_info();
        let is_new = info.created != self.created;
        let is_cut = !is_new && info.state.first_sequence > self.last + 1;
        if is_new || is_cut {
            self.missed = true;
            self.created = info.created;
            self.last = if is_new { 0 } else { info.state.last_sequence };
            (self.messages, self.held) = (None, None);
        }
        if self.messages.is_none() {
            self.messages = behind(&self.core, &self.topic, self.last).await.ok();
        }
        Ok(())
    }
}

/// The stream of a topic, created again when it is gone.
async fn stream(core: &Core, topic: &str) -> Result<Stream, BrokerError> {
    let name = core.names.topic_stream(topic);
    match core.jetstream.get_stream(&name).await {
        Err(error) if is_gone(&error.kind()) => {
            core.forget_topic(topic);
            core.topic(topic).await?;
            core.jetstream.get_stream(&name).await.map_err(unavailable)
        }
        stream => stream.map_err(unavailable),
    }
}

fn is_gone(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// How often a listener looks at its stream.
fn every(core: &Core) -> Duration {
    core.config.lease / 3
}

/// `None` when reading has come to its end.
async fn next_message(messages: &mut Option<Ordered>) -> Option<Message> {
    messages.as_mut()?.next().await?.ok()
}

/// What a topic has behind a place in its stream.
async fn behind(core: &Core, topic: &str, last: u64) -> Result<Ordered, BrokerError> {
    let stream = core.jetstream.get_stream_no_info(core.names.topic_stream(topic)).await.map_err(unavailable)?;
    let deliver_policy = DeliverPolicy::ByStartSequence { start_sequence: last + 1 };
    let config = OrderedConfig { deliver_policy, ..OrderedConfig::default() };
    let consumer = stream.create_consumer(config).await.map_err(unavailable)?;
    consumer.messages().await.map_err(unavailable)
}

#[async_trait]
impl Subscription for Listener {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        let closed = self.core.closed.clone();
        tokio::select! {
            biased;
            () = closed.cancelled() => None,
            read = self.read() => Some(read),
        }
    }
}
