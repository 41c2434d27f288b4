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
use kennel_core::{Delivery, EventFilter, Settle, Subscription};
use tokio::time::{Instant, sleep_until};

use super::{Core, RECONNECT_BACKOFF, unavailable, wire};
use crate::Missed;
use crate::delivery::NoopAck;
use crate::group::FailureTimer;

/// Reads a topic from its end.
pub(super) struct BroadcastSubscription {
    core: Arc<Core>,
    topic: String,
    filter: EventFilter,
    /// Creation time of the stream.
    created: DateTime,
    /// Sequence number of the last message; reading resumes after it.
    last: u64,
    messages: Option<Ordered>,
    /// A message that is delivered after the stream has been checked.
    fetched: Option<Message>,
    failures: u32,
    failure_timer: FailureTimer,
    /// Whether events were missed and the subscriber has not been notified yet.
    missed_events: bool,
    /// Time of the next check that the stream is the same. The driver opens a consumer again in any stream of that
    /// name, and waits there for sequence numbers that may never come.
    check_at: Instant,
}

impl BroadcastSubscription {
    pub(super) async fn new(core: Arc<Core>, topic: &str, filter: &EventFilter) -> Result<Self, BrokerError> {
        let stream = core.jetstream.get_stream(core.topic(topic).await?).await.map_err(unavailable)?;
        let (created, last) = (stream.cached_info().created, stream.cached_info().state.last_sequence);
        let messages = Some(messages_after(&core, topic, last).await?);
        let (check_at, failure_timer) = (Instant::now() + check_interval(&core), FailureTimer::default());
        Ok(Self {
            core,
            topic: topic.to_owned(),
            filter: filter.clone(),
            created,
            last,
            messages,
            fetched: None,
            failures: 0,
            failure_timer,
            missed_events: false,
            check_at,
        })
    }

    /// Returns the next event. The subscription continues after an error.
    async fn read(&mut self) -> Result<Delivery, BrokerError> {
        loop {
            if self.messages.is_none() {
                if self.failures > 0 {
                    tokio::time::sleep(RECONNECT_BACKOFF.delay(self.failures)).await;
                }
                self.failures += 1;
                self.check_stream().await?;
                continue;
            }
            if self.fetched.is_none() {
                tokio::select! {
                    biased;
                    message = next_message(&mut self.messages) => match message {
                        Some(message) => self.fetched = Some(message),
                        None => self.messages = None,
                    },
                    () = sleep_until(self.check_at) => {
                        self.check_stream().await?;
                    }
                }
            }
            // The first message of a consumer: the driver may have opened it in another stream.
            let is_first = |fetched: &Message| fetched.info().is_ok_and(|info| info.consumer_sequence == 1);
            if self.fetched.as_ref().is_some_and(is_first) && !self.check_stream().await? {
                tokio::time::sleep(RECONNECT_BACKOFF.delay(1)).await;
                continue;
            }
            let Some(message) = self.fetched.take() else { continue };
            self.failures = 0;
            self.last = message.info().map_err(BrokerError::Corrupt)?.stream_sequence;
            let headers = message.message.headers.clone().unwrap_or_default();
            let event = wire::event(&self.topic, &headers, message.message.payload);
            let event = event.map_err(|error| BrokerError::Corrupt(error.into()))?;
            if !self.filter.includes(&event) {
                continue;
            }
            return Ok(Delivery::new(event, 1, Box::new(NoopAck) as Box<dyn Settle>));
        }
    }

    /// Checks that the stream is still the same, and resumes reading if nothing is read. Returns false when the server
    /// does not respond. Fails when events were missed, and when the topic could not be read for as long as a lease
    /// while connected.
    async fn check_stream(&mut self) -> Result<bool, BrokerError> {
        self.check_at = Instant::now() + check_interval(&self.core);
        let checked = self.resume().await;
        match checked {
            Ok(()) => {
                self.failure_timer.clear();
                if std::mem::take(&mut self.missed_events) { Err(unavailable(Missed)) } else { Ok(true) }
            }
            Err(_) if self.core.client.connection_state() != State::Connected => {
                self.failure_timer.clear();
                Ok(false)
            }
            Err(error) if self.failure_timer.failed(self.core.config.lease) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Events were missed when the stream no longer has the next message: its retention was too short, or the stream is
    /// new. A new stream is read from its beginning.
    async fn resume(&mut self) -> Result<(), BrokerError> {
        let stream = stream(&self.core, &self.topic).await?;
        let info = stream.cached_info();
        let is_new = info.created != self.created;
        let is_cut = !is_new && info.state.first_sequence > self.last + 1;
        if is_new || is_cut {
            self.missed_events = true;
            self.created = info.created;
            self.last = if is_new { 0 } else { info.state.last_sequence };
            (self.messages, self.fetched) = (None, None);
        }
        if self.messages.is_none() {
            self.messages = messages_after(&self.core, &self.topic, self.last).await.ok();
        }
        Ok(())
    }
}

/// Returns the stream of a topic, created again if it does not exist.
async fn stream(core: &Core, topic: &str) -> Result<Stream, BrokerError> {
    match core.jetstream.get_stream(core.topic(topic).await?).await {
        Err(error) if is_not_found(&error.kind()) => {
            core.mark_topic_lost(topic);
            core.jetstream.get_stream(core.topic(topic).await?).await.map_err(unavailable)
        }
        stream => stream.map_err(unavailable),
    }
}

fn is_not_found(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// Returns the interval between checks of the stream.
fn check_interval(core: &Core) -> Duration {
    core.config.lease / 3
}

/// Returns `None` when the consumer has ended.
async fn next_message(messages: &mut Option<Ordered>) -> Option<Message> {
    messages.as_mut()?.next().await?.ok()
}

/// Reads the messages of a topic after a sequence number.
async fn messages_after(core: &Core, topic: &str, last: u64) -> Result<Ordered, BrokerError> {
    let stream = core.jetstream.get_stream_no_info(core.topic(topic).await?).await.map_err(unavailable)?;
    let deliver_policy = DeliverPolicy::ByStartSequence { start_sequence: last + 1 };
    let config = OrderedConfig { deliver_policy, ..OrderedConfig::default() };
    let consumer = stream.create_consumer(config).await.map_err(unavailable)?;
    consumer.messages().await.map_err(unavailable)
}

#[async_trait]
impl Subscription for BroadcastSubscription {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        let closed = self.core.closed.clone();
        tokio::select! {
            biased;
            () = closed.cancelled() => None,
            read = self.read() => Some(read),
        }
    }
}
