//! The interface of long-running components, which the runner starts and stops.

use async_trait::async_trait;
use kennel_core::BoxError;

use crate::Stop;

/// Startup phase of a component. Phases start in this order and stop in the reverse order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Dependencies of other components: stores, brokers, caches.
    Driver,
    /// Background work: relays, consumers, schedules.
    #[default]
    Worker,
    /// Servers, which accept work from outside.
    Transport,
}

impl Phase {
    /// Every phase, in startup order.
    pub const ALL: [Self; 3] = [Self::Driver, Self::Worker, Self::Transport];
}

/// A long-running component of a process: a server, a consumer, a relay.
#[async_trait]
pub trait Component: Send + 'static {
    /// Returns the name for logs, errors and `--only`; unique within the process.
    fn name(&self) -> &'static str;

    /// Returns the startup phase.
    fn phase(&self) -> Phase {
        Phase::Worker
    }

    /// Does the fallible setup, such as binding a port or connecting. Called once, before [`Component::run`]; the
    /// components of earlier phases are already running.
    async fn init(&mut self) -> Result<(), BoxError> {
        Ok(())
    }

    /// Runs until `stop` is requested, then finishes the work in progress and returns. Returning or panicking before
    /// `stop` is requested stops the whole process. After `stop` is aborted, the task itself is aborted within 250 ms.
    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError>;
}
