//! Broadcast subscriptions.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use kennel_core::broker::BrokerError;
use kennel_core::{Delivery, Subscription};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};

use super::session::{Session, close_channel};
use super::{Core, answered, backoff, topology, unavailable, wire};
use crate::Missed;
use crate::group::unique;
use crate::unheld::Unheld;

/// Events that the server sends ahead.
const AHEAD: u16 = 256;

/// Reads a topic from the present on.
pub(super) struct Listener {
    core: Arc<Core>,
    topic: String,
    queue: ShortString,
    reading: Option<Reading>,
    failures: u32,
}

struct Reading {
    /// Whether the queue was there before.
    goes_on: bool,
    session: Session,
    channel: Channel,
    messages: Consumer,
}

impl Listener {
    pub(super) async fn new(core: Arc<Core>, topic: &str) -> Result<Self, BrokerError> {
        let queue = core.names.listener(topic, &unique());
        let mut listener = Self { core, topic: topic.to_owned(), queue, reading: None, failures: 0 };
        listener.reading = Some(listener.open(false).await?);
        Ok(listener)
    }

    /// Opens the queue, `again` or for the first time, when the server cannot have it: asking would close a channel.
    async fn open(&self, again: bool) -> Result<Reading, BrokerError> {
        answered(async {
            let session = Session::open(&self.core).await?;
            let goes_on = again && self.has_queue(&session).await?;
            let channel = session.channel().await?;
            topology::topic(&channel, &self.core.names, &self.topic).await?;
            topology::listener(&channel, &self.core.names, &self.topic, self.queue.clone()).await?;
            channel.basic_qos(AHEAD, BasicQosOptions::default()).await.map_err(unavailable)?;
            let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
            let messages = channel.basic_consume(self.queue.clone(), "".into(), options, arguments).await;
            Ok(Reading { goes_on, session, channel, messages: messages.map_err(unavailable)? })
        })
        .await
    }

    /// Whether the server has the queue; a channel that asks for one that it has not is closed.
    async fn has_queue(&self, session: &Session) -> Result<bool, BrokerError> {
        let (channel, options) = (session.channel().await?, QueueDeclareOptions::durable().passive());
        let found = channel.queue_declare(self.queue.clone(), options, FieldTable::default()).await;
        match found {
            Ok(_) => {
                close_channel(&channel).await;
                Ok(true)
            }
            Err(_) if session.is_open() => Ok(false),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// The next event; an error ends nothing.
    async fn read(&mut self) -> Result<Delivery, BrokerError> {
        loop {
            let Some(reading) = &mut self.reading else {
                if self.failures > 0 {
                    tokio::time::sleep(backoff(self.failures)).await;
                }
                self.failures = self.failures.saturating_add(1);
                self.reading = self.open(true).await.ok();
                // The server forgot the queue: too long away, or it lost what it had.
                if self.reading.as_ref().is_some_and(|reading| !reading.goes_on) {
                    return Err(unavailable(Missed));
                }
                continue;
            };
            let Some(Ok(message)) = reading.messages.next().await else {
                self.reading = None;
                continue;
            };
            self.failures = 0;
            let acker = message.acker;
            // Beside the caller, who may stop waiting at any point. When it fails the event comes again.
            self.core.tasks.spawn(async move { acker.ack(BasicAckOptions::default()).await });
            let event = wire::event(&self.topic, &message.properties, message.data);
            let event = event.map_err(|error| BrokerError::Corrupt(error.into()))?;
            return Ok(Delivery::new(event, 1, Box::new(Unheld)));
        }
    }
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

impl Drop for Listener {
    fn drop(&mut self) {
        let (Some(Reading { session, channel, messages, .. }), queue) = (self.reading.take(), self.queue.clone())
        else {
            return;
        };
        drop(messages);
        self.core.tasks.spawn(async move {
            // When that fails, the server forgets the queue in a while.
            let _expires = channel.queue_delete(queue, QueueDeleteOptions::default()).await;
            session.close().await;
        });
    }
}
