//! Asks the cluster how far groups are behind, and whether it is there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kennel_core::broker::BrokerError;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::Core;
use super::context::{Quiet, report};
use super::error::classify;
use super::offsets::{PATIENCE, ends, existing};
use crate::Lag;

/// A topic to ask for; that it does not exist is an answer, too.
const PROBE: &str = "kennel.ping";

/// Clients that only ask: one for each group, for the driver lets a client ask after its own group alone.
#[derive(Default)]
pub(super) struct Probes(Mutex<HashMap<String, Arc<BaseConsumer<Quiet>>>>);

impl Probes {
    fn of(&self, settings: &ClientConfig, group_id: &str) -> Result<Arc<BaseConsumer<Quiet>>, BrokerError> {
        let mut probes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(probe) = probes.get(group_id) {
            let probe = Arc::clone(probe);
            drop(probes);
            // What the driver has to say would pile up otherwise.
            while let Some(Err(error)) = probe.poll(Duration::ZERO) {
                report(&error, "kafka probe goes on");
            }
            return Ok(probe);
        }
        let probe: Arc<BaseConsumer<Quiet>> = Arc::new(settings.create_with_context(Quiet).map_err(classify)?);
        probes.insert(group_id.to_owned(), Arc::clone(&probe));
        Ok(probe)
    }

    /// Forgets the clients.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Fails unless the cluster answers.
pub(super) async fn ping(core: &Core) -> Result<(), BrokerError> {
    let (probes, settings) = (Arc::clone(&core.probes), core.reader(PROBE));
    blocking(move || {
        let probe = probes.of(&settings, PROBE)?;
        probe.fetch_metadata(Some(PROBE), PATIENCE).map_err(classify).map(drop)
    })
    .await
}

/// What the groups of this process have still to settle.
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
        let events = behind(&*probes.of(&settings, &group_id)?, &sources)?;
        Ok(Lag { events, ..lag })
    };
    blocking(move || groups.into_iter().map(lag).collect()).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BrokerError> + Send + 'static,
) -> Result<T, BrokerError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| BrokerError::Backend(error.into()))?
}

/// Events between what the group has committed and the ends of the partitions.
fn behind(consumer: &BaseConsumer<Quiet>, sources: &[String]) -> Result<u64, BrokerError> {
    let mut places = TopicPartitionList::new();
    for source in sources {
        for partition in existing(consumer, source)? {
            places.add_partition(source, partition);
        }
    }
    if places.count() == 0 {
        return Ok(0);
    }
    let committed = consumer.committed_offsets(places, PATIENCE).map_err(classify)?;
    let mut behind = 0;
    for place in committed.elements() {
        let (low, high) = ends(consumer, place.topic(), place.partition())?;
        let start = match place.offset() {
            Offset::Offset(offset) => offset.max(low),
            _ => low,
        };
        behind += u64::try_from(high - start).unwrap_or(0);
    }
    Ok(behind)
}
