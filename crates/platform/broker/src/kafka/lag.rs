//! Reads the lag of groups, and checks that the cluster responds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kennel_core::broker::BrokerError;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::Core;
use super::context::{LoggingContext, report};
use super::error::classify;
use super::offsets::{REQUEST_TIMEOUT, ends, existing};
use crate::Lag;

/// Topic of the metadata request of a ping; it does not have to exist.
const PROBE: &str = "kennel.ping";

/// Clients for requests only: one per group, because the driver reads committed offsets only for the client's own
/// group.
#[derive(Default)]
pub(super) struct Probes(Mutex<HashMap<String, Arc<BaseConsumer<LoggingContext>>>>);

impl Probes {
    fn of(&self, settings: &ClientConfig, group_id: &str) -> Result<Arc<BaseConsumer<LoggingContext>>, BrokerError> {
        let mut probes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(probe) = probes.get(group_id) {
            let probe = Arc::clone(probe);
            drop(probes);
            // Events of the driver would otherwise accumulate.
            while let Some(Err(error)) = probe.poll(Duration::ZERO) {
                report(&error, "kafka probe continues after an error");
            }
            return Ok(probe);
        }
        let probe: Arc<BaseConsumer<LoggingContext>> =
            Arc::new(settings.create_with_context(LoggingContext).map_err(classify)?);
        probes.insert(group_id.to_owned(), Arc::clone(&probe));
        Ok(probe)
    }

    /// Closes a client after a failed request: it may have lost all brokers (see `BrokerWatch`).
    fn forget(&self, group_id: &str) {
        let probe = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(group_id);
        drop(probe);
    }

    /// Closes the clients.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Fails unless the cluster responds.
pub(super) async fn ping(core: &Core) -> Result<(), BrokerError> {
    let (probes, settings) = (Arc::clone(&core.probes), core.reader(PROBE));
    blocking(move || {
        let probe = probes.of(&settings, PROBE)?;
        let metadata = probe.fetch_metadata(Some(PROBE), REQUEST_TIMEOUT);
        metadata.map(drop).inspect_err(|_| probes.forget(PROBE)).map_err(classify)
    })
    .await
}

/// Returns the lag of the groups of this process.
pub(super) async fn all(core: &Core) -> Result<Vec<Lag>, BrokerError> {
    let mut groups = Vec::new();
    for (topic, names) in core.lock().groups.clone() {
        let sources = core.router.sources(&topic);
        for group in names {
            let group_id = core.router.group(&topic, &group);
            let settings = core.reader(&group_id);
            let lag = Lag { topic: topic.clone(), group, events: 0 };
            groups.push((lag, group_id, sources.clone(), settings));
        }
    }
    let probes = Arc::clone(&core.probes);
    let lag = move |(lag, group_id, sources, settings): (Lag, String, Vec<String>, ClientConfig)| {
        let events = unsettled(&*probes.of(&settings, &group_id)?, &sources);
        let events = events.inspect_err(|_| probes.forget(&group_id))?;
        Ok(Lag { events, ..lag })
    };
    blocking(move || groups.into_iter().map(lag).collect()).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BrokerError> + Send + 'static,
) -> Result<T, BrokerError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| BrokerError::Backend(error.into()))?
}

/// Returns the number of events between the committed offsets and the ends of the partitions.
fn unsettled(consumer: &BaseConsumer<LoggingContext>, sources: &[String]) -> Result<u64, BrokerError> {
    let mut partitions = TopicPartitionList::new();
    for source in sources {
        for partition in existing(consumer, source)? {
            partitions.add_partition(source, partition);
        }
    }
    if partitions.count() == 0 {
        return Ok(0);
    }
    let committed = consumer.committed_offsets(partitions, REQUEST_TIMEOUT).map_err(classify)?;
    let mut lag = 0;
    for partition in committed.elements() {
        let (low, high) = ends(consumer, partition.topic(), partition.partition())?;
        let start = match partition.offset() {
            Offset::Offset(offset) => offset.max(low),
            _ => low,
        };
        lag += u64::try_from(high - start).unwrap_or(0);
    }
    Ok(lag)
}
