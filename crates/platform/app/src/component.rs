//! What the runner runs.

use async_trait::async_trait;
use kennel_core::BoxError;

use crate::Stop;

/// When a component is brought up; it is taken down in the reverse order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// What others stand on: stores, brokers, caches.
    Driver,
    /// What works on its own: relays, consumers, schedules.
    #[default]
    Worker,
    /// What takes work from outside: servers.
    Transport,
}

impl Phase {
    /// Every phase, in the order in which they are brought up.
    pub const ALL: [Self; 3] = [Self::Driver, Self::Worker, Self::Transport];
}

/// A long-running part of a process: a server, a consumer, a relay.
#[async_trait]
pub trait Component: Send + 'static {
    /// Its name in logs, errors and `--only`; unique within the process.
    fn name(&self) -> &'static str;

    /// When it is brought up.
    fn phase(&self) -> Phase {
        Phase::Worker
    }

    /// Does what can fail at once, such as to bind or to connect. Called once, before [`Component::run`]; the
    /// components of earlier phases are running by then.
    async fn init(&mut self) -> Result<(), BoxError> {
        Ok(())
    }

    /// Works until `stop` is requested, then finishes the work in hand and returns. Returning or panicking before
    /// `stop` is requested takes the whole process down. Once `stop` is aborted only a moment is left.
    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError>;
}
