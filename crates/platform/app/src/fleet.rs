//! The components that are up: starts them, notices their ends, keeps the first failure.

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

/// Every component started, each on a task of its own that is aborted when the fleet is dropped.
#[derive(Default)]
pub(crate) struct Fleet {
    members: Vec<Member>,
    tasks: JoinSet<(usize, Result<(), Cause>)>,
    failure: Option<RunError>,
}

struct Member {
    name: &'static str,
    phase: Phase,
    stop: Stop,
    /// When it was asked to stop.
    asked: Option<Instant>,
    running: bool,
}

impl Fleet {
    /// Starts a component and waits until it is initialised. False when it, or another one meanwhile, has ended.
    pub(crate) async fn start(&mut self, component: Box<dyn Component>) -> bool {
        let (name, phase, stop) = (component.name(), component.phase(), Stop::new());
        if self.members.iter().any(|member| member.name == name) {
            self.keep(name, Cause::NameTaken);
            return false;
        }
        let (ready, mut initialised) = oneshot::channel();
        let (index, work) = (self.members.len(), live(component, stop.clone(), ready));
        self.tasks.spawn(async move { (index, work.await) });
        self.members.push(Member { name, phase, stop, asked: None, running: true });
        let ended = tokio::select! {
            // A component that is initialised and has ended already is found by the next wait.
            biased;
            Ok(()) = &mut initialised => None,
            ended = self.tasks.join_next() => ended,
        };
        if let Some(end) = ended {
            self.note(end);
            return false;
        }
        tracing::debug!(component = name, "component is up");
        true
    }

    /// Waits until a component ends, or for ever when none is running. Loses nothing when its future is dropped.
    pub(crate) async fn next_end(&mut self) {
        match self.tasks.join_next().await {
            Some(ended) => self.note(ended),
            None => pending().await,
        }
    }

    /// Asks the members of a phase to stop, all at once, and waits until all have.
    pub(crate) async fn stop_phase(&mut self, phase: Phase) {
        let asked: Vec<_> = (0..self.members.len()).filter(|&index| self.members[index].phase == phase).collect();
        self.stop(&asked).await;
    }

    /// Stops the members of a phase one by one, the last one started first.
    pub(crate) async fn stop_in_reverse(&mut self, phase: Phase) {
        for index in (0..self.members.len()).rev() {
            if self.members[index].phase == phase {
                self.stop(&[index]).await;
            }
        }
    }

    async fn stop(&mut self, asked: &[usize]) {
        for &index in asked {
            self.members[index].stop.request();
            self.members[index].asked = Some(Instant::now());
        }
        while asked.iter().any(|&index| self.members[index].running) {
            self.next_end().await;
        }
    }

    /// The members that were asked to stop and have not, and how long ago they were asked.
    pub(crate) fn hung(&self) -> Vec<(&'static str, Duration)> {
        let running = self.members.iter().filter(|member| member.running);
        running.filter_map(|member| Some((member.name, member.asked?.elapsed()))).collect()
    }

    /// Tells every member to end at once and waits until all have.
    pub(crate) async fn cut_short(&mut self) {
        for member in &self.members {
            member.stop.abort();
        }
        while self.members.iter().any(|member| member.running) {
            self.next_end().await;
        }
    }

    /// Drops the work of every member that still runs, as soon as it yields. Does not wait for it.
    pub(crate) fn abort(&mut self) {
        self.tasks.abort_all();
    }

    pub(crate) fn into_failure(mut self) -> Option<RunError> {
        self.failure.take()
    }

    /// Keeps `error` unless something else failed first, which is then what brought it about.
    pub(crate) fn fail(&mut self, error: RunError) {
        if self.failure.is_none() {
            self.failure = Some(error);
            return;
        }
        tracing::error!(error = &error as &dyn std::error::Error, "failed while stopping");
    }

    fn keep(&mut self, component: &'static str, cause: Cause) {
        self.fail(RunError::Component { component, cause });
    }

    fn note(&mut self, ended: Result<(usize, Result<(), Cause>), tokio::task::JoinError>) {
        // The only join error left is that of an aborted task, which nobody waits for.
        let Ok((index, outcome)) = ended else { return };
        let member = &mut self.members[index];
        member.running = false;
        let (name, asked) = (member.name, member.stop.is_requested());
        match outcome {
            Ok(()) if asked => tracing::debug!(component = name, "component has stopped"),
            Ok(()) => self.keep(name, Cause::Ended),
            Err(cause) => self.keep(name, cause),
        }
    }
}

/// The whole life of a component. Panics become causes here, so that they carry its name.
async fn live(mut component: Box<dyn Component>, stop: Stop, ready: oneshot::Sender<()>) -> Result<(), Cause> {
    tokio::select! {
        started = caught(component.init()) => started.map_err(|fault| fault.into_cause(Cause::Init))?,
        () = stop.requested() => return Ok(()),
    }
    // Nobody listens any more when the start was given up; the stop tells the component.
    ready.send(()).ok();
    caught(component.run(stop)).await.map_err(|fault| fault.into_cause(Cause::Failed))
}

enum Fault {
    Error(BoxError),
    Panic(String),
}

impl Fault {
    fn into_cause(self, error: impl FnOnce(BoxError) -> Cause) -> Cause {
        match self {
            Self::Error(source) => error(source),
            Self::Panic(message) => Cause::Panicked(message),
        }
    }
}

async fn caught(work: impl Future<Output = Result<(), BoxError>>) -> Result<(), Fault> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(outcome) => outcome.map_err(Fault::Error),
        Err(panic) => Err(Fault::Panic(message(&*panic))),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
