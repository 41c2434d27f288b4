//! Health registry: what the process depends on, and whether it is ready for work.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::{RemoteHandle, Shared, join_all};
use kennel_core::BoxError;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use crate::progress::Progress;
use crate::readiness::Readiness;

/// How long a report is given out again before the checks are run anew.
pub const FRESH: Duration = Duration::from_secs(1);
/// How long a check may take unless it is registered with another limit.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);
/// The same for one that is only observed: it must not keep those waiting who ask for readiness.
pub const OBSERVED_TIMEOUT: Duration = Duration::from_millis(500);

/// Asks a dependency whether it answers.
#[async_trait]
pub trait Check: Send + Sync + 'static {
    /// Fails when the dependency cannot be used. Dropped when it takes longer than its limit. The error is logged
    /// when the state changes and never shown to clients.
    async fn check(&self) -> Result<(), BoxError>;

    /// What reports show of a check that failed. It is safe to show to clients: never the error or a part of it.
    fn detail(&self) -> Option<String> {
        None
    }
}

/// Whether a dependency answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It does.
    Up,
    /// It fails, or does not answer in time.
    Down,
}

/// What the process is without a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Not ready.
    Required,
    /// Ready: work goes on.
    Observed,
    /// Ready, and a component of its own makes no progress.
    Progress,
}

impl Kind {
    /// As a label of metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Observed => "observed",
            Self::Progress => "progress",
        }
    }
}

/// The state of one dependency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// The name it is registered under.
    pub name: Cow<'static, str>,
    /// Whether it answers.
    pub status: Status,
    /// Whether the process is not ready while it is down.
    pub required: bool,
    /// How long the check took, in milliseconds.
    pub latency_ms: u64,
    /// What is wrong with it, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The state of the process; safe to show to clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether the process takes work: it is up, not stopping, and every required dependency answers.
    pub ready: bool,
    /// Every dependency, in the order of registration.
    pub checks: Vec<Dependency>,
}

/// The dependencies of a process and its readiness. Clones share one state.
#[derive(Clone)]
pub struct Health {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    ready: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    entries: Vec<Arc<Entry>>,
    open: bool,
    /// Of the last report; none before the first one or when a check was added since.
    healthy: Option<bool>,
    flight: Option<Flight>,
}

struct Entry {
    name: Cow<'static, str>,
    check: Arc<dyn Check>,
    limit: Duration,
    kind: Kind,
    last: Mutex<Option<Status>>,
}

/// One run of all checks, shared by everyone who asks meanwhile and for a moment after. It is a task of its own and ends
/// whether or not anyone waits for it: a check that nobody moves on would keep the connection that it asks over.
type Flight = Shared<RemoteHandle<Done>>;

#[derive(Clone)]
struct Done {
    at: Instant,
    checks: Vec<Dependency>,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health").field("ready", &*self.inner.ready.borrow()).finish_non_exhaustive()
    }
}

impl Health {
    /// A registry without dependencies, not ready.
    pub fn new() -> Self {
        let (ready, _) = watch::channel(false);
        let state = Mutex::default();
        Self { inner: Arc::new(Inner { state, ready }) }
    }

    /// Adds a dependency that readiness needs, with [`DEFAULT_TIMEOUT`].
    pub fn register(&self, name: impl Into<Cow<'static, str>>, check: Arc<dyn Check>) {
        self.register_with_timeout(name, check, DEFAULT_TIMEOUT);
    }

    /// Adds a dependency that is down when its check takes longer than `limit`.
    pub fn register_with_timeout(&self, name: impl Into<Cow<'static, str>>, check: Arc<dyn Check>, limit: Duration) {
        self.add(name.into(), check, limit, Kind::Required);
    }

    /// Adds a dependency that work goes on without, with [`OBSERVED_TIMEOUT`]: its state is told, and readiness does
    /// not hang on it.
    pub fn observe(&self, name: impl Into<Cow<'static, str>>, check: Arc<dyn Check>) {
        self.add(name.into(), check, OBSERVED_TIMEOUT, Kind::Observed);
    }

    /// Adds the progress of a component. Readiness does not depend on it: other processes would do no better.
    pub fn progress(&self, name: impl Into<Cow<'static, str>>, progress: Progress) {
        self.add(name.into(), Arc::new(progress), OBSERVED_TIMEOUT, Kind::Progress);
    }

    /// The last known state of each dependency, without asking it; nothing of those that were not asked yet.
    pub fn known(&self) -> Vec<(Cow<'static, str>, Kind, Status)> {
        let entries = lock(&self.inner.state).entries.clone();
        let known = |entry: &Arc<Entry>| Some((entry.name.clone(), entry.kind, (*lock(&entry.last))?));
        entries.iter().filter_map(known).collect()
    }

    fn add(&self, name: Cow<'static, str>, check: Arc<dyn Check>, limit: Duration, kind: Kind) {
        let last = Mutex::new(None);
        let mut state = lock(&self.inner.state);
        state.entries.push(Arc::new(Entry { name, check, limit, kind, last }));
        state.flight = None;
        state.healthy = None;
    }

    /// The state of every dependency. The checks run concurrently, once for all who ask within [`FRESH`].
    pub async fn report(&self) -> Report {
        let checks = self.flight().await.checks;
        let healthy = suffice(&checks);
        let ready = healthy && self.is_open();
        Report { ready, checks }
    }

    /// Follows readiness. It changes when the process opens or stops and when a report finds a change.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.inner.ready.subscribe()
    }

    /// Lets the process be ready once its dependencies are; for the runner, and for tests of what reads readiness.
    pub async fn open(&self) {
        lock(&self.inner.state).open = true;
        self.report().await;
        self.inner.publish();
    }

    /// Makes the process not ready at once, whatever its dependencies say.
    pub fn close(&self) {
        lock(&self.inner.state).open = false;
        self.inner.publish();
    }

    pub(crate) fn is_open(&self) -> bool {
        lock(&self.inner.state).open
    }

    /// A component named `health` that keeps [`Health::ready`] current while nobody asks for reports.
    pub fn readiness(&self) -> Readiness {
        Readiness::new(self.clone())
    }

    fn flight(&self) -> Flight {
        let mut state = lock(&self.inner.state);
        // `peek` would not do: it sees an end only once someone has waited for it.
        let fresh =
            |flight: &&Flight| Flight::clone(flight).now_or_never().is_none_or(|done| done.at.elapsed() < FRESH);
        if let Some(flight) = state.flight.as_ref().filter(fresh) {
            return flight.clone();
        }
        let flight = take_off(run_all(Arc::clone(&self.inner), state.entries.clone()));
        state.flight.insert(flight).clone()
    }
}

#[expect(clippy::disallowed_methods, reason = "limited in time, and cancelled with the last who may ask how it ended")]
fn take_off(run: impl Future<Output = Done> + Send + 'static) -> Flight {
    let (run, done) = run.remote_handle();
    drop(tokio::spawn(run.in_current_span()));
    done.shared()
}

impl Inner {
    fn publish(&self) {
        let state = lock(&self.state);
        let ready = state.open && state.healthy == Some(true);
        // Sent under the lock, so that of two changes the later one is seen last.
        self.ready.send_if_modified(|now| std::mem::replace(now, ready) != ready);
    }
}

async fn run_all(inner: Arc<Inner>, entries: Vec<Arc<Entry>>) -> Done {
    let checks = join_all(entries.iter().map(|entry| entry.run())).await;
    let current = {
        let mut state = lock(&inner.state);
        let current = state.entries.len() == entries.len();
        if current {
            state.healthy = Some(suffice(&checks));
        }
        current
    };
    if current {
        inner.publish();
    }
    let at = Instant::now();
    Done { at, checks }
}

impl Entry {
    async fn run(&self) -> Dependency {
        let started = Instant::now();
        let check = AssertUnwindSafe(self.check.check()).catch_unwind();
        let outcome: Result<(), BoxError> = match timeout(self.limit, check).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err("the check panicked".into()),
            Err(_) => Err("the check took too long".into()),
        };
        let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let status = self.note(&outcome);
        let detail = if status == Status::Down { self.check.detail() } else { None };
        Dependency { name: self.name.clone(), status, required: self.kind == Kind::Required, latency_ms, detail }
    }

    /// Logs a change of state, and only that: a dependency that stays down fills no log.
    fn note(&self, outcome: &Result<(), BoxError>) -> Status {
        let status = if outcome.is_ok() { Status::Up } else { Status::Down };
        let before = lock(&self.last).replace(status);
        let (name, progress) = (self.name.as_ref(), self.kind == Kind::Progress);
        match outcome {
            Err(error) if before != Some(Status::Down) => {
                let error = &**error as &dyn std::error::Error;
                if progress {
                    tracing::warn!(component = name, error, "component makes no progress");
                } else {
                    tracing::warn!(dependency = name, error, "dependency is down");
                }
            }
            Ok(()) if before == Some(Status::Down) && progress => {
                tracing::info!(component = name, "component makes progress again");
            }
            Ok(()) if before == Some(Status::Down) => tracing::info!(dependency = name, "dependency is up again"),
            _ => {}
        }
        status
    }
}

fn suffice(checks: &[Dependency]) -> bool {
    checks.iter().all(|check| !check.required || check.status == Status::Up)
}

/// No code that can panic runs under these locks, so a poisoned one is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
