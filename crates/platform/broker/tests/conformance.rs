//! The cases that every broker must pass.

use std::sync::Arc;

use kennel_broker::memory::Limits;
use kennel_broker::{Broker, BrokerMetrics, MemoryBroker, Metered};
use kennel_core::SystemClock;
use kennel_testkit::conformance::Fixture;
use kennel_testkit::conformance::broker::{BrokerUnderTest, MemoryDeadLetters};

fn stage(wrap: impl FnOnce(Arc<dyn Broker>) -> Arc<dyn Broker>) -> Fixture<BrokerUnderTest> {
    let (limits, letters) = (Limits::default(), Arc::new(MemoryDeadLetters::default()));
    let memory = MemoryBroker::new(limits, Arc::clone(&letters) as Arc<_>, Arc::new(SystemClock));
    let broker = wrap(Arc::new(memory));
    Fixture::new(BrokerUnderTest {
        publisher: Arc::clone(&broker) as Arc<_>,
        subscriber: broker,
        dead_letters: letters,
        topic: "tests.events".to_owned(),
        in_flight: limits.in_flight.get(),
    })
}

mod memory {
    use super::*;

    #[expect(clippy::unused_async, reason = "the suite awaits setups")]
    async fn fresh() -> Option<Fixture<BrokerUnderTest>> {
        Some(stage(|broker| broker))
    }

    kennel_testkit::broker_conformance!(fresh, start_paused = true);
}

/// The decorator must not change what a broker does.
mod metered {
    use super::*;

    #[expect(clippy::unused_async, reason = "the suite awaits setups")]
    async fn fresh() -> Option<Fixture<BrokerUnderTest>> {
        let metrics = BrokerMetrics::register(&prometheus::Registry::new()).ok()?;
        Some(stage(|broker| Arc::new(Metered::new(broker, metrics, &["tests.events"]))))
    }

    kennel_testkit::broker_conformance!(fresh, start_paused = true);
}
