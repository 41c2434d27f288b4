//! Settings of publishing and consuming events.

use std::num::NonZeroU32;

use kennel_config::{HumanDuration, Problems, Section};
use kennel_outbox::{ConsumerConfig, RelayConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Publishing, consumption and retention of events.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OutboxSettings {
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

impl Default for OutboxSettings {
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

impl Section for OutboxSettings {
    const TITLE: &'static str = "Events";

    fn check(&self, problems: &mut Problems) {
        for (key, span) in [("outbox_lease", self.outbox_lease), ("outbox_poll", self.outbox_poll)] {
            if span.get().is_zero() {
                problems.add(key, "must be longer than 0s");
            }
        }
        if self.outbox_batch.get() > 1_000 {
            problems.add("outbox_batch", "must be 1 to 1000");
        }
    }
}

impl OutboxSettings {
    /// The configuration of the relay, for a broker that accepts `in_flight` unacknowledged events.
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

    /// The configuration of consumers.
    pub fn consumer(&self) -> ConsumerConfig {
        ConsumerConfig { max_attempts: self.consumer_max_attempts.get(), ..ConsumerConfig::default() }
    }
}
