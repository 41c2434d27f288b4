//! Settings of the graceful stop.

use kennel_config::{HumanDuration, Problems, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Timing of the graceful stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ShutdownConfig {
    /// How long to continue serving after readiness has failed, so that load balancers notice it.
    pub drain_delay: HumanDuration,
    /// The deadline of a graceful shutdown.
    pub shutdown_deadline: HumanDuration,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self { drain_delay: HumanDuration::from_secs(0), shutdown_deadline: HumanDuration::from_secs(25) }
    }
}

impl Section for ShutdownConfig {
    const TITLE: &'static str = "Shutdown";

    fn check(&self, problems: &mut Problems) {
        if self.shutdown_deadline <= self.drain_delay {
            problems.add("shutdown_deadline", "must be longer than DRAIN_DELAY");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_includes_the_drain_delay() {
        assert_eq!(ShutdownConfig::default().validate(), Ok(()));
        let config = ShutdownConfig { drain_delay: HumanDuration::from_secs(25), ..ShutdownConfig::default() };
        let error = config.validate().unwrap_err().to_string();
        assert_eq!(error, "SHUTDOWN_DEADLINE (not set): must be longer than DRAIN_DELAY");
    }
}
