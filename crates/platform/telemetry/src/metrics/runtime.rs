//! Metrics of the Tokio runtime.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, IntGauge};
use tokio::runtime::{Handle, RuntimeMetrics};

use super::names;

/// Reads the runtime's own counters at each scrape.
pub(super) struct RuntimeCollector {
    runtime: RuntimeMetrics,
    workers: IntGauge,
    alive_tasks: IntGauge,
    queue_depth: IntGauge,
    busy: Counter,
}

impl RuntimeCollector {
    pub(super) fn new(handle: &Handle) -> Result<Self, prometheus::Error> {
        Ok(Self {
            runtime: handle.metrics(),
            workers: IntGauge::new(names::TOKIO_WORKERS, "Worker threads of the runtime")?,
            alive_tasks: IntGauge::new(names::TOKIO_ALIVE_TASKS, "Tasks that have not ended")?,
            queue_depth: IntGauge::new(names::TOKIO_QUEUE_DEPTH, "Tasks in the global queue")?,
            busy: Counter::new(names::TOKIO_BUSY, "Total time that workers spent running tasks")?,
        })
    }

    fn busy_seconds(&self) -> f64 {
        (0..self.runtime.num_workers())
            .map(|worker| self.runtime.worker_total_busy_duration(worker).as_secs_f64())
            .sum()
    }
}

impl Collector for RuntimeCollector {
    fn desc(&self) -> Vec<&Desc> {
        let mut descs = self.workers.desc();
        descs.extend(self.alive_tasks.desc());
        descs.extend(self.queue_depth.desc());
        descs.extend(self.busy.desc());
        descs
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let gauge = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        self.workers.set(gauge(self.runtime.num_workers()));
        self.alive_tasks.set(gauge(self.runtime.num_alive_tasks()));
        self.queue_depth.set(gauge(self.runtime.global_queue_depth()));
        self.busy.inc_by((self.busy_seconds() - self.busy.get()).max(0.0));
        let mut families = self.workers.collect();
        families.extend(self.alive_tasks.collect());
        families.extend(self.queue_depth.collect());
        families.extend(self.busy.collect());
        families
    }
}
