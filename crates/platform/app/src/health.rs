//! Health registry: the dependencies of the process, and whether it is ready for requests.

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

/// How long a report is reused before the checks run again.
pub const REPORT_CACHE_TTL: Duration = Duration::from_secs(1);
/// Default timeout of a check.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);
/// Timeout of a check that is only observed; shorter, because readiness probes wait for it.
pub const OBSERVED_TIMEOUT: Duration = Duration::from_millis(500);

/// Checks whether a dependency answers.
#[async_trait]
pub trait Check: Send + Sync + 'static {
    /// Fails when the dependency cannot be used. The future is dropped after the check's timeout. The error is logged
    /// when the status changes and never shown to clients.
    async fn check(&self) -> Result<(), BoxError>;

    /// Returns the text that reports show for a failed check. Clients can see it, so it must not contain the error.
    fn detail(&self) -> Option<String> {
        None
    }
}

/// Whether a dependency answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It answers.
    Up,
    /// It fails or does not answer in time.
    Down,
}

/// How a failed check affects readiness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The process is not ready.
    Required,
    /// The process stays ready and works without the dependency.
    Observed,
    /// The process stays ready; one of its components makes no progress.
    Progress,
}

impl Kind {
    /// Returns the value of the metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Observed => "observed",
            Self::Progress => "progress",
        }
    }
}

/// Status of one dependency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// The name under which it is registered.
    pub name: Cow<'static, str>,
    /// Whether it answers.
    pub status: Status,
    /// Whether the process is not ready while it is down.
    pub required: bool,
    /// Duration of the check, in milliseconds.
    pub latency_ms: u64,
    /// Description of the failure, if the check has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Status of the process; safe to show to clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether the process accepts requests: it is started, not stopping, and every required dependency answers.
    pub ready: bool,
    /// Every dependency, in registration order.
    pub checks: Vec<Dependency>,
}

/// The dependencies of a process and its readiness. Clones share state.
#[derive(Clone)]
pub struct Health {
    inner: Arc<HealthInner>,
}

struct HealthInner {
    state: Mutex<HealthState>,
    ready: watch::Sender<bool>,
}

#[derive(Default)]
struct HealthState {
    entries: Vec<Arc<RegisteredCheck>>,
    open: bool,
    /// Result of the last report; `None` before the first one and after a check was added.
    healthy: Option<bool>,
    run: Option<CheckRun>,
}

struct RegisteredCheck {
    name: Cow<'static, str>,
    check: Arc<dyn Check>,
    limit: Duration,
    kind: Kind,
    last: Mutex<Option<Status>>,
}

/// One run of all checks, shared by every caller until [`REPORT_CACHE_TTL`] after its end. It runs on its own task, so
/// that it ends even when no caller waits for it: a check that is never polled again would not return its connection to
/// the pool.
type CheckRun = Shared<RemoteHandle<CheckRunResult>>;

#[derive(Clone)]
struct CheckRunResult {
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
    /// Creates a registry without dependencies, not ready.
    pub fn new() -> Self {
        let (ready, _) = watch::channel(false);
        let state = Mutex::default();
        Self { inner: Arc::new(HealthInner { state, ready }) }
    }

    /// Adds a dependency that readiness requires, with [`DEFAULT_TIMEOUT`].
    pub fn register(&self, name: impl Into<Cow<'static, str>>, check: Arc<dyn Check>) {
        self.register_with_timeout(name, check, DEFAULT_TIMEOUT);
    }

    /// Adds a dependency that readiness requires and that is down when its check takes longer than `limit`.
    pub fn register_with_timeout(&self, name: impl Into<Cow<'static, str>>, check: Arc<dyn Check>, limit: Duration) {
        self.add(name.into(), check, limit, Kind::Required);
    }

    /// Adds an optional dependency, with [`OBSERVED_TIMEOUT`]: reports and metrics include its status, readiness does
    /// not depend on it.
    pub fn observe(&self, name: impl Into<Cow<'static, str>>, check: Arc<dyn Check>) {
        self.add(name.into(), check, OBSERVED_TIMEOUT, Kind::Observed);
    }

    /// Adds the progress of a component. Readiness does not depend on it: sending requests elsewhere would not help.
    pub fn progress(&self, name: impl Into<Cow<'static, str>>, progress: Progress) {
        self.add(name.into(), Arc::new(progress), OBSERVED_TIMEOUT, Kind::Progress);
    }

    /// Returns the last known status of each dependency without running checks; omits those never checked.
    pub fn known(&self) -> Vec<(Cow<'static, str>, Kind, Status)> {
        let entries = lock(&self.inner.state).entries.clone();
        let known = |entry: &Arc<RegisteredCheck>| Some((entry.name.clone(), entry.kind, (*lock(&entry.last))?));
        entries.iter().filter_map(known).collect()
    }

    fn add(&self, name: Cow<'static, str>, check: Arc<dyn Check>, limit: Duration, kind: Kind) {
        let last = Mutex::new(None);
        let mut state = lock(&self.inner.state);
        state.entries.push(Arc::new(RegisteredCheck { name, check, limit, kind, last }));
        state.run = None;
        state.healthy = None;
    }

    /// Returns the status of every dependency. Checks run concurrently, and once for all callers within
    /// [`REPORT_CACHE_TTL`].
    pub async fn report(&self) -> Report {
        let checks = self.run().await.checks;
        let healthy = required_are_up(&checks);
        let ready = healthy && self.is_open();
        Report { ready, checks }
    }

    /// Subscribes to readiness. It changes when the process opens or stops, and when a report detects a change.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.inner.ready.subscribe()
    }

    /// Allows readiness, which then depends on the dependencies; for the runner, and for tests of code that reads
    /// readiness.
    pub async fn open(&self) {
        lock(&self.inner.state).open = true;
        self.report().await;
        self.inner.publish();
    }

    /// Sets the process to not ready immediately, regardless of its dependencies.
    pub fn close(&self) {
        lock(&self.inner.state).open = false;
        self.inner.publish();
    }

    pub(crate) fn is_open(&self) -> bool {
        lock(&self.inner.state).open
    }

    /// Returns a component named `health` that updates [`Health::ready`] while nobody requests reports.
    pub fn readiness(&self) -> Readiness {
        Readiness::new(self.clone())
    }

    fn run(&self) -> CheckRun {
        let mut state = lock(&self.inner.state);
        // `Shared::peek` does not work here: it returns a result only after someone has polled the future.
        let fresh = |run: &&CheckRun| {
            CheckRun::clone(run).now_or_never().is_none_or(|done| done.at.elapsed() < REPORT_CACHE_TTL)
        };
        if let Some(run) = state.run.as_ref().filter(fresh) {
            return run.clone();
        }
        let run = spawn_run(run_all(Arc::clone(&self.inner), state.entries.clone()));
        state.run.insert(run).clone()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "bounded by the timeouts of the checks, and aborted with the last handle"
)]
fn spawn_run(run: impl Future<Output = CheckRunResult> + Send + 'static) -> CheckRun {
    let (run, done) = run.remote_handle();
    drop(tokio::spawn(run.in_current_span()));
    done.shared()
}

impl HealthInner {
    fn publish(&self) {
        let state = lock(&self.state);
        let ready = state.open && state.healthy == Some(true);
        // Sent under the lock, so that two changes are seen in their order.
        self.ready.send_if_modified(|now| std::mem::replace(now, ready) != ready);
    }
}

async fn run_all(inner: Arc<HealthInner>, entries: Vec<Arc<RegisteredCheck>>) -> CheckRunResult {
    let checks = join_all(entries.iter().map(|entry| entry.run())).await;
    let current = {
        let mut state = lock(&inner.state);
        let current = state.entries.len() == entries.len();
        if current {
            state.healthy = Some(required_are_up(&checks));
        }
        current
    };
    if current {
        inner.publish();
    }
    let at = Instant::now();
    CheckRunResult { at, checks }
}

impl RegisteredCheck {
    async fn run(&self) -> Dependency {
        let started = Instant::now();
        let check = AssertUnwindSafe(self.check.check()).catch_unwind();
        let outcome: Result<(), BoxError> = match timeout(self.limit, check).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err("check panicked".into()),
            Err(_) => Err("check timed out".into()),
        };
        let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let status = self.log_change(&outcome);
        let detail = if status == Status::Down { self.check.detail() } else { None };
        Dependency { name: self.name.clone(), status, required: self.kind == Kind::Required, latency_ms, detail }
    }

    /// Logs changes of the status only, so that a dependency that stays down does not flood the log.
    fn log_change(&self, outcome: &Result<(), BoxError>) -> Status {
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

fn required_are_up(checks: &[Dependency]) -> bool {
    checks.iter().all(|check| !check.required || check.status == Status::Up)
}

/// No code that can panic runs under these locks, so the data of a poisoned one is consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
