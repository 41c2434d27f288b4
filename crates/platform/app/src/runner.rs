//! Brings the components of a process up and takes them down.

use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::fleet::Fleet;
use crate::{Abort, Component, Health, Phase, RunError};

/// What is left to a component between the deadline and its end by force.
const LAST_CHANCE: Duration = Duration::from_millis(250);

/// How a process stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How long transports go on serving after readiness has closed, so that load balancers look away first.
    /// At most half of the deadline is taken for it.
    pub drain_delay: Duration,
    /// How long the whole stop may take, the drain delay included; then what is left is cut off.
    pub deadline: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { drain_delay: Duration::ZERO, deadline: Duration::from_secs(25) }
    }
}

/// A process: components, and the health that opens with them.
pub struct App {
    options: Options,
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
    /// A process without components.
    pub fn new(options: Options) -> Self {
        Self { options, components: Vec::new(), health: Health::new() }
    }

    /// Adds a component. Those of one phase start in the order in which they are added.
    #[must_use]
    pub fn component(mut self, component: impl Component) -> Self {
        self.components.push(Box::new(component));
        self
    }

    /// Opens and closes this health with the process. To have it followed, add [`Health::readiness`] as a component.
    #[must_use]
    pub fn health(mut self, health: Health) -> Self {
        self.health = health;
        self
    }

    /// Runs until `shutdown` completes or a component ends unasked, then stops every component: readiness closes, the
    /// drain delay passes, transports stop together, workers stop together, drivers stop one by one in reverse.
    ///
    /// Whatever went wrong first is returned; what followed from it is logged. When components hang, their tasks may
    /// outlive this call until they next yield, so the caller should end the process without waiting for them.
    pub async fn run<F>(self, shutdown: F) -> Result<(), RunError>
    where
        F: Future<Output: Into<Abort>>,
    {
        let Self { options, components, health } = self;
        let mut fleet = Fleet::default();
        let mut shutdown = pin!(shutdown);
        let asked = tokio::select! {
            asked = &mut shutdown => Some(asked.into()),
            () = serve(&mut fleet, components, &health) => None,
        };
        let opened = health.is_open();
        health.close();
        let abort = async {
            match asked {
                Some(abort) => abort.wait().await,
                None => shutdown.await.into().wait().await,
            }
        };
        let drain = if opened { options.drain_delay.min(options.deadline / 2) } else { Duration::ZERO };
        tokio::select! {
            () = abort => {
                fleet.abort();
                fleet.fail(RunError::Aborted);
            }
            () = stop_in_time(&mut fleet, drain, options.deadline) => {}
        }
        fleet.into_failure().map_or(Ok(()), Err)
    }
}

/// Starts everything, opens readiness, and returns once anything has failed.
async fn serve(fleet: &mut Fleet, mut components: Vec<Box<dyn Component>>, health: &Health) {
    components.sort_by_key(|component| component.phase());
    for component in components {
        if !fleet.start(component).await {
            return;
        }
    }
    tokio::select! {
        never = stay_open(health) => match never {},
        () = fleet.next_end() => {}
    }
}

async fn stay_open(health: &Health) -> Infallible {
    health.open().await;
    pending().await
}

async fn stop_in_time(fleet: &mut Fleet, drain: Duration, deadline: Duration) {
    let deadline = Instant::now() + deadline;
    if timeout_at(deadline, stop(fleet, drain)).await.is_ok() {
        return;
    }
    let components = fleet.hung();
    fleet.fail(RunError::Hung { components });
    if timeout(LAST_CHANCE, fleet.cut_short()).await.is_err() {
        fleet.abort();
    }
}

async fn stop(fleet: &mut Fleet, drain: Duration) {
    watch_for(fleet, drain).await;
    fleet.stop_phase(Phase::Transport).await;
    fleet.stop_phase(Phase::Worker).await;
    fleet.stop_in_reverse(Phase::Driver).await;
}

/// Lets `delay` pass, still noticing components that end.
async fn watch_for(fleet: &mut Fleet, delay: Duration) {
    if delay.is_zero() {
        return;
    }
    let mut passed = pin!(sleep(delay));
    loop {
        tokio::select! {
            () = &mut passed => return,
            () = fleet.next_end() => {}
        }
    }
}
