//! Settings of NATS.

use std::num::{NonZeroU16, NonZeroUsize};
use std::time::Duration;

use kennel_config::{Secret, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// NATS, for `BROKER=nats`. There is no default URL. Only the URL and the password are settings.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NatsConfig {
    /// The servers of `nats`, such as `nats://user:password@host:4222`, separated by commas; `tls://` encrypts.
    pub nats_url: Option<Secret>,
    /// The password of the user in `nats_url`; unlike in the URL, without percent-encoding.
    pub nats_password: Option<Secret>,
    /// Prefix of the names of streams and subjects.
    #[serde(skip)]
    pub prefix: String,
    /// Number of partitions of a topic, and so the maximum number of group members that receive events at the same time.
    /// Must be equal in all processes with the same prefix.
    #[serde(skip)]
    pub partitions: NonZeroU16,
    /// Maximum number of events of a partition that a member buffers, including those delivered and not settled.
    #[serde(skip)]
    pub buffer: NonZeroUsize,
    /// Number of replicas of each stream in a cluster.
    #[serde(skip)]
    pub replicas: NonZeroUsize,
    /// How long events are retained. A group loses an event that it has not settled by then.
    #[serde(skip)]
    pub retention: Duration,
    /// How long the server waits for an acknowledgement before it redelivers an event.
    #[serde(skip)]
    pub ack_wait: Duration,
    /// How long the partitions of a killed member stay assigned to it.
    #[serde(skip)]
    pub lease: Duration,
}

impl Default for NatsConfig {
    fn default() -> Self {
        let count = |number| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
        Self {
            nats_url: None,
            nats_password: None,
            prefix: "kennel".to_owned(),
            partitions: NonZeroU16::new(8).unwrap_or(NonZeroU16::MIN),
            buffer: count(256),
            replicas: count(1),
            retention: Duration::from_hours(24 * 7),
            ack_wait: Duration::from_secs(15),
            lease: Duration::from_secs(10),
        }
    }
}

impl Section for NatsConfig {
    const TITLE: &'static str = "NATS";
}
