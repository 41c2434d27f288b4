//! Broadcast subscriptions.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use kennel_core::broker::BrokerError;
use kennel_core::{Delivery, Subscription};
use lapin::message::Delivery as Message;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeleteOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};
use tokio::time::{Instant, sleep_until};

use super::session::Session;
use super::{Core, REFUSED, answered, backoff, topology, unavailable, wire};
use crate::Missed;
use crate::group::{Overdue, unique};
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
    refused: Overdue,
    /// Whether events were missed, which the subscriber does not know yet.
    missed: bool,
    /// When to bind the queue anew.
    upkeep_at: Instant,
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
        let (topic, refused, upkeep_at) = (topic.to_owned(), Overdue::default(), Instant::now() + topology::UPKEEP);
        let mut listener = Self { core, topic, queue, reading: None, failures: 0, refused, missed: false, upkeep_at };
        let session = Session::open(&listener.core).await?;
        listener.reading = Some(listener.open(session).await?);
        Ok(listener)
    }

    /// Opens the queue, which is a new one unless the server still has it.
    async fn open(&self, session: Session) -> Result<Reading, BrokerError> {
        answered(async {
            let goes_on = session.has_queue(self.queue.clone()).await?;
            let channel = session.channel().await?;
            topology::topic(&session, &channel, &self.core.names, &self.topic).await?;
            topology::listener(&channel, &self.core.names, &self.topic, self.queue.clone()).await?;
            channel.basic_qos(AHEAD, BasicQosOptions::default()).await.map_err(unavailable)?;
            let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
            let messages = channel.basic_consume(self.queue.clone(), "".into(), options, arguments).await;
            Ok(Reading { goes_on, session, channel, messages: messages.map_err(unavailable)? })
        })
        .await
    }

    /// The next event; an error ends nothing.
    async fn read(&mut self) -> Result<Delivery, BrokerError> {
        loop {
            let Some(reading) = &mut self.reading else {
                self.open_again().await?;
                continue;
            };
            let message = tokio::select! {
                biased;
                message = reading.messages.next() => message,
                () = sleep_until(self.upkeep_at) => {
                    self.bind_anew().await?;
                    continue;
                }
            };
            let Some(Ok(message)) = message else {
                self.reading = None;
                continue;
            };
            self.failures = 0;
            if let Some(delivery) = self.delivery(message)? {
                return Ok(delivery);
            }
        }
    }

    /// Reads the queue again, after a while. Fails when events were missed, and when the server has refused it for long.
    async fn open_again(&mut self) -> Result<(), BrokerError> {
        if self.failures > 0 {
            tokio::time::sleep(backoff(self.failures)).await;
        }
        self.failures = self.failures.saturating_add(1);
        let Ok(session) = Session::open(&self.core).await else {
            self.refused.clear();
            return Ok(());
        };
        match self.open(session).await {
            Ok(reading) => {
                self.refused.clear();
                // The server forgot the queue: too long away, or it lost what it had.
                self.missed |= !reading.goes_on;
                self.reading = Some(reading);
                if std::mem::take(&mut self.missed) { Err(unavailable(Missed)) } else { Ok(()) }
            }
            Err(error) if self.refused.failed(REFUSED) => Err(error),
            Err(_) => Ok(()),
        }
    }

    /// A binding may have been removed, of which the server says nothing. Fails when events were missed.
    async fn bind_anew(&mut self) -> Result<(), BrokerError> {
        self.upkeep_at = Instant::now() + topology::UPKEEP;
        let Some(Reading { session, channel, .. }) = &self.reading else { return Ok(()) };
        let bound = answered(async {
            topology::topic(session, channel, &self.core.names, &self.topic).await?;
            topology::listener(channel, &self.core.names, &self.topic, self.queue.clone()).await
        });
        if bound.await.is_err() {
            self.reading = None;
            return Ok(());
        }
        if std::mem::take(&mut self.missed) { Err(unavailable(Missed)) } else { Ok(()) }
    }

    /// The event that a message is; none when it reports that the topic was created again.
    fn delivery(&mut self, message: Message) -> Result<Option<Delivery>, BrokerError> {
        let acker = message.acker;
        // Beside the caller, who may stop waiting at any point. When it fails the event comes again.
        self.core.tasks.spawn(async move { acker.ack(BasicAckOptions::default()).await });
        if message.properties.kind().as_ref().is_some_and(|kind| kind.as_str() == topology::RENEWED) {
            self.missed = true;
            self.upkeep_at = Instant::now();
            return Ok(None);
        }
        let event = wire::event(&self.topic, &message.properties, message.data);
        let event = event.map_err(|error| BrokerError::Corrupt(error.into()))?;
        Ok(Some(Delivery::new(event, 1, Box::new(Unheld))))
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
