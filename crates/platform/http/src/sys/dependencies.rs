//! Exports the last known state of each dependency as a metric.

use kennel_app::{Health, Status};
use kennel_telemetry::metrics::names;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts, Registry};

/// Registers a gauge for every dependency of `health`, including dependencies that are added later.
pub fn register_dependencies(registry: &Registry, health: &Health) -> Result<(), prometheus::Error> {
    let opts = Opts::new(names::DEPENDENCY_UP, "Whether a dependency answers, or a component makes progress");
    let gauges = IntGaugeVec::new(opts, &["dependency", "kind"])?;
    registry.register(Box::new(DependencyCollector { health: health.clone(), gauges }))
}

struct DependencyCollector {
    health: Health,
    gauges: IntGaugeVec,
}

impl Collector for DependencyCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for (name, kind, status) in self.health.known() {
            let gauge = self.gauges.with_label_values(&[name.as_ref(), kind.label()]);
            gauge.set((status == Status::Up).into());
        }
        self.gauges.collect()
    }
}
