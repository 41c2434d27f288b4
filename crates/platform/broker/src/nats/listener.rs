//! Broadcast subscriptions.

use std::sync::Arc;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_trait::async_trait;
use futures_util::StreamExt as _;
use kennel_core::broker::BrokerError;
use kennel_core::{Delivery, Settle, Subscription};

use super::{Core, backoff, unavailable, wire};
use crate::Missed;
use crate::unheld::Unheld;

/// Reads a topic from the present on.
pub(super) struct Listener {
    core: Arc<Core>,
    topic: String,
    /// The place in the stream behind which to go on.
    last: u64,
    messages: Option<Ordered>,
    failures: usize,
}

impl Listener {
    pub(super) async fn new(core: Arc<Core>, topic: &str) -> Result<Self, BrokerError> {
        let stream = core.jetstream.get_stream(core.names.topic_stream(topic)).await.map_err(unavailable)?;
        let last = stream.cached_info().state.last_sequence;
        let messages = Some(behind(&core, topic, last).await?);
        Ok(Self { core, topic: topic.to_owned(), last, messages, failures: 0 })
    }

    /// The next event; an error ends nothing.
    async fn read(&mut self) -> Result<Delivery, BrokerError> {
        loop {
            if self.messages.is_none() {
                if self.failures > 0 {
                    tokio::time::sleep(backoff(self.failures)).await;
                }
                self.failures += 1;
                self.go_on().await?;
                continue;
            }
            let Some(Ok(message)) = self.next_message().await else {
                self.messages = None;
                continue;
            };
            self.failures = 0;
            self.last = message.info().map_err(BrokerError::Corrupt)?.stream_sequence;
            let headers = message.message.headers.clone().unwrap_or_default();
            let event = wire::event(&self.topic, &headers, message.message.payload);
            let event = event.map_err(|error| BrokerError::Corrupt(error.into()))?;
            return Ok(Delivery::new(event, 1, Box::new(Unheld) as Box<dyn Settle>));
        }
    }

    /// Reads on where it was, if the server answers. Fails, and is at the present then, when the stream no longer has
    /// what follows there: it was kept for too short a time, or the stream is a new one.
    async fn go_on(&mut self) -> Result<(), BrokerError> {
        let Ok(stream) = self.core.jetstream.get_stream(self.core.names.topic_stream(&self.topic)).await else {
            return Ok(());
        };
        let state = &stream.cached_info().state;
        let missed = state.last_sequence < self.last || state.first_sequence > self.last + 1;
        if missed {
            self.last = state.last_sequence;
        }
        self.messages = behind(&self.core, &self.topic, self.last).await.ok();
        if missed { Err(unavailable(Missed)) } else { Ok(()) }
    }

    async fn next_message(&mut self) -> Option<Result<async_nats::jetstream::Message, ()>> {
        let message = self.messages.as_mut()?.next().await?;
        Some(message.map_err(|_| ()))
    }
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
