//! Settings of publishing and consuming events.

use std::num::NonZeroU32;

use kennel_config::{HumanDuration, Problems, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::consumer::ConsumerConfig;
use crate::relay::RelayConfig;

/// Publishing, consumption and retention of events.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OutboxConfig {
    /// Maximum number of events per published batch.
    pub outbox_batch: NonZeroU32,
    /// The lease of the relay: how long before another process takes over from one that was killed.
    pub outbox_lease: HumanDuration,
    /// How often to poll for events that other processes committed.
    pub outbox_poll: HumanDuration,
    /// Attempts before an event becomes a dead letter.
    pub consumer_max_attempts: NonZeroU32,
    /// How long published events, receipts, idempotency keys and the progress of imports are retained.
    pub retention: HumanDuration,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        let relay = RelayConfig::default();
        Self {
            outbox_batch: NonZeroU32::new(relay.batch).unwrap_or(NonZeroU32::MIN),
            outbox_lease: HumanDuration(relay.lease_ttl),
            outbox_poll: HumanDuration(relay.poll),
            // The in-process broker delays later events until an event is settled: about three seconds with these attempts.
            consumer_max_attempts: NonZeroU32::new(5).unwrap_or(NonZeroU32::MIN),
            retention: HumanDuration(relay.retention),
        }
    }
}

impl Section for OutboxConfig {
    const TITLE: &'static str = "Events";

    fn check(&self, problems: &mut Problems) {
        problems.check_not_zero("outbox_lease", self.outbox_lease);
        problems.check_not_zero("outbox_poll", self.outbox_poll);
        problems.check_range("outbox_batch", self.outbox_batch.get(), 1..=1_000);
    }
}

impl OutboxConfig {
    /// Returns the configuration of the relay, for a broker that accepts `in_flight` unacknowledged events.
    pub fn relay(&self, in_flight: u32) -> RelayConfig {
        RelayConfig {
            in_flight,
            batch: self.outbox_batch.get(),
            lease_ttl: self.outbox_lease.get(),
            poll: self.outbox_poll.get(),
            retention: self.retention.get(),
            ..RelayConfig::default()
        }
    }

    /// Returns the configuration of consumers.
    pub fn consumer(&self) -> ConsumerConfig {
        ConsumerConfig { max_attempts: self.consumer_max_attempts.get(), ..ConsumerConfig::default() }
    }
}
