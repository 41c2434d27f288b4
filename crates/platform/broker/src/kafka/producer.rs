//! Sends records: idempotent, acknowledged by all replicas, in the order given.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kennel_core::broker::BrokerError;
use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::future_producer::{DeliveryFuture, OwnedDeliveryResult};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _, PurgeConfig};
use tokio::time::{Instant, sleep};

use super::context::BrokerWatch;
use super::error::classify;
use crate::config::KafkaConfig;
use crate::delivery::Closed;

/// Delay before a record is added to a full queue again.
const QUEUE_FULL_DELAY: Duration = Duration::from_millis(20);

/// A record to send. One without a value deletes the record of its key.
pub(super) struct Record<'a> {
    pub(super) topic: &'a str,
    pub(super) key: &'a [u8],
    pub(super) headers: Vec<(String, String)>,
    pub(super) value: Option<&'a [u8]>,
}

impl<'a> Record<'a> {
    fn into_future_record(self) -> FutureRecord<'a, [u8], [u8]> {
        let mut headers = OwnedHeaders::new_with_capacity(self.headers.len());
        for (key, value) in &self.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let record = FutureRecord::to(self.topic).key(self.key).headers(headers);
        match self.value {
            Some(value) => record.payload(value),
            None => record,
        }
    }
}

/// The process's producer. A fatal error of the driver fails only the calls that met it: it is then replaced.
pub(super) struct Producer {
    settings: ClientConfig,
    timeout: Duration,
    current: Mutex<Option<(FutureProducer<BrokerWatch>, BrokerWatch)>>,
}

impl Producer {
    pub(super) fn new(config: &KafkaConfig) -> Result<Self, BrokerError> {
        let mut settings = config.client();
        settings.set("acks", "all").set("enable.idempotence", "true");
        settings.set("compression.type", "zstd").set("linger.ms", "2");
        // The hash of the Java clients, so that other producers agree; an empty key has one partition like any other.
        settings.set("partitioner", "murmur2");
        settings.set("message.timeout.ms", config.tuning.publish_timeout.as_millis().to_string());
        settings.set("queue.buffering.max.kbytes", "65536");
        BrokerWatch::enable(&mut settings);
        let current = Mutex::new(Some(producer(&settings)?));
        Ok(Self { settings, timeout: config.tuning.publish_timeout, current })
    }

    /// Returns after every record is stored durably. After an error any subset may be stored.
    pub(super) async fn send(&self, records: Vec<Record<'_>>) -> Result<(), BrokerError> {
        let (producer, brokers) = self.current()?;
        let mut sent = Vec::with_capacity(records.len());
        for record in records {
            sent.push(self.enqueue(&producer, record).await?);
        }
        for delivery in sent {
            if let Err(error) = delivered(delivery.await) {
                // Queued records would otherwise overtake this one when it is sent again.
                producer.purge(PurgeConfig::default().queue());
                self.replace_if_fatal(&producer)?;
                if brokers.is_lost() {
                    tracing::warn!("kafka producer has lost all brokers, and is replaced");
                    self.renew()?;
                }
                return Err(classify(error));
            }
        }
        Ok(())
    }

    async fn enqueue(
        &self,
        producer: &FutureProducer<BrokerWatch>,
        record: Record<'_>,
    ) -> Result<DeliveryFuture, BrokerError> {
        let deadline = Instant::now() + self.timeout;
        let mut record = record.into_future_record();
        loop {
            match producer.send_result(record) {
                Ok(delivery) => return Ok(delivery),
                Err((KafkaError::MessageProduction(Code::QueueFull), back)) if Instant::now() < deadline => {
                    record = back;
                    sleep(QUEUE_FULL_DELAY).await;
                }
                Err((error, _)) => {
                    self.replace_if_fatal(producer)?;
                    return Err(classify(error));
                }
            }
        }
    }

    fn current(&self) -> Result<(FutureProducer<BrokerWatch>, BrokerWatch), Closed> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Closed)
    }

    fn replace_if_fatal(&self, failed: &FutureProducer<BrokerWatch>) -> Result<(), BrokerError> {
        let Some((code, reason)) = failed.client().fatal_error() else {
            return Ok(());
        };
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let is_current =
            |(current, _): &(FutureProducer<_>, _)| current.client().native_ptr() == failed.client().native_ptr();
        if current.as_ref().is_some_and(is_current) {
            tracing::error!(%code, reason, "kafka producer is recreated after a fatal error");
            *current = Some(producer(&self.settings)?);
        }
        Ok(())
    }

    /// Replaces the producer; pending records fail. The new producer has another producer id: in a cluster that lost
    /// its data, the old id may belong to another producer, and the cluster would drop records of both as duplicates.
    pub(super) fn renew(&self) -> Result<(), BrokerError> {
        let fresh = producer(&self.settings)?;
        let old = {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            // A closed producer remains closed.
            if current.is_some() { current.replace(fresh) } else { None }
        };
        if let Some((old, _)) = old {
            old.purge(PurgeConfig::default().queue().inflight());
            // Dropping waits for its thread.
            drop(tokio::task::spawn_blocking(move || drop(old)));
        }
        Ok(())
    }

    /// Stops sending; waits for pending records.
    pub(super) async fn close(&self) {
        let producer = self.current.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((producer, _)) = producer else { return };
        let timeout = self.timeout;
        let flushed = tokio::task::spawn_blocking(move || producer.flush(timeout)).await;
        if let Ok(Err(error)) = flushed {
            tracing::warn!(error = &error as &dyn std::error::Error, "kafka producer is closed with unsent records");
        }
    }
}

fn producer(settings: &ClientConfig) -> Result<(FutureProducer<BrokerWatch>, BrokerWatch), BrokerError> {
    let brokers = BrokerWatch::default();
    let producer = FutureProducer::from_config_and_context(settings, brokers.clone()).map_err(classify)?;
    Ok((producer, brokers))
}

/// Returns the outcome of a record; a dropped producer counts as a failure.
fn delivered<C>(outcome: Result<OwnedDeliveryResult, C>) -> Result<(), KafkaError> {
    outcome.map_err(|_| KafkaError::Canceled)?.map(|_| ()).map_err(|(error, _)| error)
}
