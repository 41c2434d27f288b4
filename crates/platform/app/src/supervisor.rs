//! Supervises the running components: starts them, detects when they end, and stores the first failure.

use std::any::Any;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use kennel_core::BoxError;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::{Cause, Component, Phase, RunError, Stop};

/// All started components, each on its own task. Dropping the supervisor aborts the tasks.
#[derive(Default)]
pub(crate) struct Supervisor {
    components: Vec<SupervisedTask>,
    tasks: JoinSet<(usize, Result<(), Cause>)>,
    failure: Option<RunError>,
}

struct SupervisedTask {
    name: &'static str,
    phase: Phase,
    stop: Stop,
    /// When the stop was requested.
    asked: Option<Instant>,
    running: bool,
}

impl Supervisor {
    /// Starts a component and waits until it is initialised. Returns false when this or another component has ended.
    pub(crate) async fn start(&mut self, component: Box<dyn Component>) -> bool {
        let (name, phase, stop) = (component.name(), component.phase(), Stop::new());
        if self.components.iter().any(|task| task.name == name) {
            self.fail_component(name, Cause::NameTaken);
            return false;
        }
        let (ready, mut initialised) = oneshot::channel();
        let (index, work) = (self.components.len(), run_component(component, stop.clone(), ready));
        self.tasks.spawn(async move { (index, work.await) });
        self.components.push(SupervisedTask { name, phase, stop, asked: None, running: true });
        let ended = tokio::select! {
            // When both are ready, the end is found by the next wait.
            biased;
            Ok(()) = &mut initialised => None,
            ended = self.tasks.join_next() => ended,
        };
        if let Some(end) = ended {
            self.on_end(end);
            return false;
        }
        tracing::debug!(component = name, "component started");
        true
    }

    /// Waits until a component ends; pending forever when none is running. Cancel-safe.
    pub(crate) async fn next_end(&mut self) {
        match self.tasks.join_next().await {
            Some(ended) => self.on_end(ended),
            None => pending().await,
        }
    }

    /// Requests all components of a phase to stop at the same time, and waits until all have ended.
    pub(crate) async fn stop_phase(&mut self, phase: Phase) {
        let asked: Vec<_> = (0..self.components.len()).filter(|&index| self.components[index].phase == phase).collect();
        self.stop(&asked).await;
    }

    /// Stops the components of a phase one by one, in reverse startup order.
    pub(crate) async fn stop_in_reverse(&mut self, phase: Phase) {
        for index in (0..self.components.len()).rev() {
            if self.components[index].phase == phase {
                self.stop(&[index]).await;
            }
        }
    }

    async fn stop(&mut self, asked: &[usize]) {
        for &index in asked {
            self.components[index].stop.request();
            self.components[index].asked = Some(Instant::now());
        }
        while asked.iter().any(|&index| self.components[index].running) {
            self.next_end().await;
        }
    }

    /// Returns the components that were requested to stop and are still running, and how long ago that was.
    pub(crate) fn unresponsive(&self) -> Vec<(&'static str, Duration)> {
        let running = self.components.iter().filter(|task| task.running);
        running.filter_map(|task| Some((task.name, task.asked?.elapsed()))).collect()
    }

    /// Requests an immediate end of every component and waits until all have ended.
    pub(crate) async fn abort_remaining(&mut self) {
        for task in &self.components {
            task.stop.abort();
        }
        while self.components.iter().any(|task| task.running) {
            self.next_end().await;
        }
    }

    /// Aborts every task that still runs, at its next yield. Does not wait for them.
    pub(crate) fn abort(&mut self) {
        self.tasks.abort_all();
    }

    pub(crate) fn into_failure(mut self) -> Option<RunError> {
        self.failure.take()
    }

    /// Stores `error` unless an earlier one is stored, which is then the cause; later errors are only logged.
    pub(crate) fn fail(&mut self, error: RunError) {
        if self.failure.is_none() {
            self.failure = Some(error);
            return;
        }
        tracing::error!(error = &error as &dyn std::error::Error, "failed while stopping");
    }

    fn fail_component(&mut self, component: &'static str, cause: Cause) {
        self.fail(RunError::Component { component, cause });
    }

    fn on_end(&mut self, ended: Result<(usize, Result<(), Cause>), tokio::task::JoinError>) {
        // Panics are caught inside the task, so the only join error is that of an aborted task.
        let Ok((index, outcome)) = ended else { return };
        let task = &mut self.components[index];
        task.running = false;
        let (name, asked) = (task.name, task.stop.is_requested());
        match outcome {
            Ok(()) if asked => tracing::debug!(component = name, "component stopped"),
            Ok(()) => self.fail_component(name, Cause::Ended),
            Err(cause) => self.fail_component(name, cause),
        }
    }
}

/// Runs a component from start to end. Panics are converted here, where the component's name is known.
async fn run_component(mut component: Box<dyn Component>, stop: Stop, ready: oneshot::Sender<()>) -> Result<(), Cause> {
    tokio::select! {
        started = catch_panic(component.init()) => started.map_err(|error| error.into_cause(Cause::Init))?,
        () = stop.requested() => return Ok(()),
    }
    // The receiver is dropped when the startup was abandoned; the stop request ends the component then.
    ready.send(()).ok();
    catch_panic(component.run(stop)).await.map_err(|error| error.into_cause(Cause::Failed))
}

enum ComponentError {
    Error(BoxError),
    Panic(String),
}

impl ComponentError {
    fn into_cause(self, error: impl FnOnce(BoxError) -> Cause) -> Cause {
        match self {
            Self::Error(source) => error(source),
            Self::Panic(message) => Cause::Panicked(message),
        }
    }
}

async fn catch_panic(work: impl Future<Output = Result<(), BoxError>>) -> Result<(), ComponentError> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(outcome) => outcome.map_err(ComponentError::Error),
        Err(panic) => Err(ComponentError::Panic(message(&*panic))),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
