//! The conformance suite, in-process.

use std::sync::Arc;

use kennel_broker::memory::Limits;
use kennel_broker::{Broker, BrokerMetrics, InstrumentedBroker, MemoryBroker};
use kennel_core::SystemClock;
use kennel_testkit::conformance::Fixture;
use kennel_testkit::conformance::broker::{BrokerUnderTest, MemoryDeadLetters};

#[path = "servers/lag.rs"]
mod lag;

fn fixture(wrap: impl FnOnce(Arc<dyn Broker>) -> Arc<dyn Broker>) -> Fixture<BrokerUnderTest> {
    let (limits, dead_letters) = (Limits::default(), Arc::new(MemoryDeadLetters::default()));
    let memory = MemoryBroker::new(limits, Arc::clone(&dead_letters) as Arc<_>, Arc::new(SystemClock));
    let broker = wrap(Arc::new(memory));
    Fixture::new(BrokerUnderTest {
        publisher: Arc::clone(&broker) as Arc<_>,
        lag: Arc::new(lag::BrokerLag(Arc::clone(&broker))),
        subscriber: broker,
        dead_letters,
        topic: "tests.events".to_owned(),
        in_flight: limits.in_flight.get(),
    })
}

mod memory {
    use super::*;

    #[expect(clippy::unused_async, reason = "the suite awaits setups")]
    async fn fresh() -> Option<Fixture<BrokerUnderTest>> {
        Some(fixture(|broker| broker))
    }

    kennel_testkit::broker_conformance!(fresh, start_paused = true);
}

/// The decorator must not change what a broker does.
mod instrumented {
    use super::*;

    #[expect(clippy::unused_async, reason = "the suite awaits setups")]
    async fn fresh() -> Option<Fixture<BrokerUnderTest>> {
        let metrics = BrokerMetrics::register(&prometheus::Registry::new()).ok()?;
        Some(fixture(|broker| Arc::new(InstrumentedBroker::new(broker, metrics, vec!["tests.events"]))))
    }

    kennel_testkit::broker_conformance!(fresh, start_paused = true);
}
