//! Starts and stops the components of a process.

use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::supervisor::Supervisor;
use crate::{Abort, Component, Health, Phase, RunError, ShutdownConfig};

/// Time between the request to abort, at the deadline, and the abort of the tasks.
const ABORT_TIMEOUT: Duration = Duration::from_millis(250);

/// A process: its components and its health.
pub struct App {
    config: ShutdownConfig,
    components: Vec<Box<dyn Component>>,
    health: Health,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.components.iter().map(|component| component.name()).collect();
        f.debug_struct("App").field("components", &names).finish_non_exhaustive()
    }
}

impl App {
    /// Creates a process without components.
    pub fn new(config: ShutdownConfig) -> Self {
        Self { config, components: Vec::new(), health: Health::new() }
    }

    /// Adds a component. Components of one phase start in the order in which they are added.
    #[must_use]
    pub fn component(mut self, component: impl Component) -> Self {
        self.components.push(Box::new(component));
        self
    }

    /// Sets the health that opens and closes with the process. Add [`Health::readiness`] as a component to update it.
    #[must_use]
    pub fn health(mut self, health: Health) -> Self {
        self.health = health;
        self
    }

    /// Runs until `shutdown` completes or a component ends by itself. Then it stops every component: readiness becomes
    /// false, the drain delay passes, transports stop together, workers stop together, drivers stop one by one in
    /// reverse.
    ///
    /// Returns the first failure; later ones are logged. Tasks of unresponsive components can outlive this call until
    /// they next yield, so the caller should exit the process without waiting for them.
    pub async fn run<F>(self, shutdown: F) -> Result<(), RunError>
    where
        F: Future<Output: Into<Abort>>,
    {
        let Self { config, components, health } = self;
        let (drain_delay, deadline) = (config.drain_delay.get(), config.shutdown_deadline.get());
        let mut supervisor = Supervisor::default();
        let mut shutdown = pin!(shutdown);
        let asked = tokio::select! {
            asked = &mut shutdown => Some(asked.into()),
            () = serve(&mut supervisor, components, &health) => None,
        };
        let opened = health.is_open();
        health.close();
        let abort = async {
            match asked {
                Some(abort) => abort.wait().await,
                None => shutdown.await.into().wait().await,
            }
        };
        let drain = if opened { drain_delay.min(deadline / 2) } else { Duration::ZERO };
        tokio::select! {
            () = abort => {
                supervisor.abort();
                supervisor.fail(RunError::Aborted);
            }
            () = stop_in_time(&mut supervisor, drain, deadline) => {}
        }
        supervisor.into_failure().map_or(Ok(()), Err)
    }
}

/// Starts all components, opens readiness, and returns when a component ends.
async fn serve(supervisor: &mut Supervisor, mut components: Vec<Box<dyn Component>>, health: &Health) {
    components.sort_by_key(|component| component.phase());
    for component in components {
        if !supervisor.start(component).await {
            return;
        }
    }
    tokio::select! {
        never = stay_open(health) => match never {},
        () = supervisor.next_end() => {}
    }
}

async fn stay_open(health: &Health) -> Infallible {
    health.open().await;
    pending().await
}

async fn stop_in_time(supervisor: &mut Supervisor, drain: Duration, deadline: Duration) {
    let deadline = Instant::now() + deadline;
    if timeout_at(deadline, stop(supervisor, drain)).await.is_ok() {
        return;
    }
    let components = supervisor.unresponsive();
    supervisor.fail(RunError::Unresponsive { components });
    if timeout(ABORT_TIMEOUT, supervisor.abort_remaining()).await.is_err() {
        supervisor.abort();
    }
}

async fn stop(supervisor: &mut Supervisor, drain: Duration) {
    watch_for(supervisor, drain).await;
    supervisor.stop_phase(Phase::Transport).await;
    supervisor.stop_phase(Phase::Worker).await;
    supervisor.stop_in_reverse(Phase::Driver).await;
}

/// Waits for `delay` while it still detects components that end.
async fn watch_for(supervisor: &mut Supervisor, delay: Duration) {
    if delay.is_zero() {
        return;
    }
    let mut passed = pin!(sleep(delay));
    loop {
        tokio::select! {
            () = &mut passed => return,
            () = supervisor.next_end() => {}
        }
    }
}
