//! Broadcast subscriptions.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use kennel_core::broker::BrokerError;
use kennel_core::{Delivery, EventFilter, Subscription};
use lapin::message::Delivery as Message;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeleteOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};
use tokio::time::{Instant, sleep_until};

use super::session::Session;
use super::{Core, RECONNECT_BACKOFF, REFUSED_TIMEOUT, topology, unavailable, wire, with_timeout};
use crate::Missed;
use crate::delivery::NoopAck;
use crate::group::{FailureTimer, unique_name};

/// Number of prefetched events.
const PREFETCH: u16 = 256;

/// Reads a topic from its end.
pub(super) struct BroadcastSubscription {
    core: Arc<Core>,
    topic: String,
    filter: EventFilter,
    queue: ShortString,
    consumer: Option<OpenConsumer>,
    failures: u32,
    failure_timer: FailureTimer,
    /// Whether events were missed and the subscriber has not been notified yet.
    missed_events: bool,
    /// When to declare and bind the queue again.
    redeclare_at: Instant,
}

struct OpenConsumer {
    /// Whether the queue existed before.
    queue_existed: bool,
    session: Session,
    channel: Channel,
    messages: Consumer,
}

impl BroadcastSubscription {
    pub(super) async fn new(core: Arc<Core>, topic: &str, filter: &EventFilter) -> Result<Self, BrokerError> {
        let queue = core.names.broadcast_queue(topic, &unique_name());
        let redeclare_at = Instant::now() + topology::DECLARE_INTERVAL;
        let mut broadcast = Self {
            core,
            topic: topic.to_owned(),
            filter: filter.clone(),
            queue,
            consumer: None,
            failures: 0,
            failure_timer: FailureTimer::default(),
            missed_events: false,
            redeclare_at,
        };
        let session = Session::open(&broadcast.core).await?;
        broadcast.consumer = Some(broadcast.open(session).await?);
        Ok(broadcast)
    }

    /// Consumes the queue, which is declared if the server does not have it.
    async fn open(&self, session: Session) -> Result<OpenConsumer, BrokerError> {
        with_timeout(async {
            let queue_existed = session.has_queue(self.queue.clone()).await?;
            let channel = session.channel().await?;
            topology::topic(&session, &channel, &self.core.names, &self.topic).await?;
            topology::broadcast_queue(&channel, &self.core.names, &self.topic, self.queue.clone()).await?;
            channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.map_err(unavailable)?;
            let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
            let messages = channel.basic_consume(self.queue.clone(), "".into(), options, arguments).await;
            Ok(OpenConsumer { queue_existed, session, channel, messages: messages.map_err(unavailable)? })
        })
        .await
    }

    /// Returns the next event. The subscription continues after an error.
    async fn read(&mut self) -> Result<Delivery, BrokerError> {
        loop {
            let Some(consumer) = &mut self.consumer else {
                self.open_again().await?;
                continue;
            };
            let message = tokio::select! {
                biased;
                // First: the subscriber is to know that events were missed before it gets newer ones.
                () = sleep_until(self.redeclare_at) => {
                    self.redeclare().await?;
                    continue;
                }
                message = consumer.messages.next() => message,
            };
            let Some(Ok(message)) = message else {
                self.consumer = None;
                continue;
            };
            self.failures = 0;
            if let Some(delivery) = self.delivery(message)? {
                return Ok(delivery);
            }
        }
    }

    /// Reconnects after a delay. Fails when events were missed, and when the server has rejected the queue for long.
    async fn open_again(&mut self) -> Result<(), BrokerError> {
        if self.failures > 0 {
            tokio::time::sleep(RECONNECT_BACKOFF.delay(self.failures)).await;
        }
        self.failures = self.failures.saturating_add(1);
        let Ok(session) = Session::open(&self.core).await else {
            self.failure_timer.clear();
            return Ok(());
        };
        match self.open(session).await {
            Ok(consumer) => {
                self.failure_timer.clear();
                // The queue expired during the outage, or the server lost it.
                self.missed_events |= !consumer.queue_existed;
                self.consumer = Some(consumer);
                if std::mem::take(&mut self.missed_events) { Err(unavailable(Missed)) } else { Ok(()) }
            }
            Err(error) if self.failure_timer.failed(REFUSED_TIMEOUT) => Err(error),
            Err(_) => Ok(()),
        }
    }

    /// Declares the bindings again: somebody may have removed one, which the server does not report. Fails when events
    /// were missed.
    async fn redeclare(&mut self) -> Result<(), BrokerError> {
        let Some(OpenConsumer { session, channel, .. }) = &self.consumer else { return Ok(()) };
        let bound = with_timeout(async {
            topology::topic(session, channel, &self.core.names, &self.topic).await?;
            topology::broadcast_queue(channel, &self.core.names, &self.topic, self.queue.clone()).await
        });
        let is_bound = bound.await.is_ok();
        // Afterwards, because the caller may be cancelled at any point.
        self.redeclare_at = Instant::now() + topology::DECLARE_INTERVAL;
        if !is_bound {
            self.consumer = None;
            return Ok(());
        }
        if std::mem::take(&mut self.missed_events) { Err(unavailable(Missed)) } else { Ok(()) }
    }

    /// Decodes the event of a message; `None` for an excluded one, and for a notification that the topic was created again.
    fn delivery(&mut self, message: Message) -> Result<Option<Delivery>, BrokerError> {
        let acker = message.acker;
        // In a task, because the caller may be cancelled at any point. After a failure the event is redelivered.
        self.core.tasks.spawn(async move { acker.ack(BasicAckOptions::default()).await });
        if message.properties.kind().as_ref().is_some_and(|kind| kind.as_str() == topology::RENEWED) {
            self.missed_events = true;
            self.redeclare_at = Instant::now();
            return Ok(None);
        }
        let event = wire::event(&self.topic, &message.properties, message.data);
        let event = event.map_err(|error| BrokerError::Corrupt(error.into()))?;
        Ok(self.filter.includes(&event).then(|| Delivery::new(event, 1, Box::new(NoopAck))))
    }
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

impl Drop for BroadcastSubscription {
    fn drop(&mut self) {
        let (Some(OpenConsumer { session, channel, messages, .. }), queue) = (self.consumer.take(), self.queue.clone())
        else {
            return;
        };
        drop(messages);
        self.core.tasks.spawn(async move {
            // After a failure the queue expires.
            let _expires = channel.queue_delete(queue, QueueDeleteOptions::default()).await;
            session.close().await;
        });
    }
}
