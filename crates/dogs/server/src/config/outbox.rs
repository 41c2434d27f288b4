//! Settings of the way that events take.

use std::num::NonZeroU32;

use kennel_config::{HumanDuration, Problems, Section};
use kennel_outbox::{ConsumerConfig, RelayConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How events get to the broker and to their consumers, and when they are forgotten.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OutboxSettings {
    /// Events published together at most.
    pub outbox_batch: NonZeroU32,
    /// How long another process waits before it takes over from a relay that was killed.
    pub outbox_lease: HumanDuration,
    /// How often to look for events that another process committed.
    pub outbox_poll: HumanDuration,
    /// Tries before an event becomes a dead letter.
    pub consumer_max_attempts: NonZeroU32,
    /// How long published events, receipts, idempotency keys and the progress of imports are kept.
    pub retention: HumanDuration,
}

impl Default for OutboxSettings {
    fn default() -> Self {
        let relay = RelayConfig::default();
        Self {
            outbox_batch: NonZeroU32::new(relay.batch).unwrap_or(NonZeroU32::MIN),
            outbox_lease: HumanDuration(relay.lease_ttl),
            outbox_poll: HumanDuration(relay.poll),
            // The in-process broker holds later events back until an event is settled: about three seconds with these tries.
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
    /// The relay's part, for a broker that has `in_flight` events in hand before another batch has to wait.
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

    /// The consumers' part.
    pub fn consumer(&self) -> ConsumerConfig {
        ConsumerConfig { max_attempts: self.consumer_max_attempts.get(), ..ConsumerConfig::default() }
    }
}
