//! Copies the dogs of one store to another, and then applies later changes.
//!
//! The position in the source's events is read before the scan of the dogs starts. So every change that the scan may miss
//! has an event after that position, published or pending, and each dog that such an event names is read again from the
//! source. When events do not name their dogs, as those of imports, or were purged, all dogs are compared again.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use dogs_domain::replica::{Checkpoint, CopyStep};
use dogs_domain::{Dog, DogId};
use futures_util::future::try_join;
use kennel_app::Stop;
use kennel_core::outbox::History;
use kennel_core::{Clock as _, Event, SystemClock};
use tokio::time::sleep;
use uuid::Uuid;

use super::affected::AffectedIds;
use super::compare::{Comparison, Difference};
use super::{PAGE, StoreError, StoreHandle};

/// How often events are read when the source sends no notification.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How long to collect events before they are applied as one batch.
const COALESCE_WINDOW: Duration = Duration::from_millis(100);

/// Options of a copy.
#[derive(Debug, Clone, Copy, Default)]
pub struct CopyOptions {
    /// Apply later changes until the stop, instead of ending after the scan.
    pub follow: bool,
    /// Allow a target with dogs and events of its own: its dogs that the source lacks are removed, and its dogs at a later
    /// revision are replaced.
    pub overwrite: bool,
}

/// Why a copy failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The target has dogs, and no copy of the source was started there.
    #[error("the store `{0}` already has dogs; `--overwrite` replaces them with the copy")]
    NotEmpty(&'static str),
    /// A service writes to the target.
    #[error("a service writes to the store `{0}`; `--overwrite` replaces what it wrote with the copy")]
    InUse(&'static str),
    /// A stop was requested before the scan ended.
    #[error("stopped before the end; run the command again to resume")]
    Stopped,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A progress report of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyProgress {
    /// The copy resumes at the checkpoint of an earlier run.
    Resumed,
    /// The source purged events that were not applied: all dogs are compared again.
    EventsPurged,
    /// Events do not name the dogs that they are about, as those of imports: all dogs are compared again.
    DogsUnnamed,
    /// The scan has compared some of the dogs.
    Scanned {
        /// Dogs compared so far.
        dogs: u64,
        /// Dogs written or removed so far.
        copied: u64,
    },
    /// The scan has ended.
    ScanFinished,
    /// Later changes were applied.
    ChangesApplied {
        /// Dogs read again because of events, since the start.
        changes: u64,
        /// The age of the last applied event; zero when no events remain.
        lag: Duration,
    },
}

/// A copy of one store in another.
pub struct StoreCopy<'t> {
    pub(super) from: StoreHandle,
    pub(super) to: StoreHandle,
    options: CopyOptions,
    stop: Stop,
    checkpoint: Checkpoint,
    /// Events that were applied before they were published.
    applied_early: HashSet<Uuid>,
    changes: u64,
    /// Whether a scan has ended. After that, a stop waits for a scan that was started again.
    scanned_once: bool,
    report: Box<dyn FnMut(CopyProgress) + Send + 't>,
}

impl<'t> StoreCopy<'t> {
    /// Starts a copy, or resumes it at the checkpoint of an earlier run.
    pub async fn start(
        from: StoreHandle,
        to: StoreHandle,
        options: CopyOptions,
        stop: Stop,
        report: impl FnMut(CopyProgress) + Send + 't,
    ) -> Result<Self, CopyError> {
        let found = to.call(|| to.stores.replica.checkpoint(from.name)).await?;
        let checkpoint = Checkpoint { event: None, scanning: true, after: None };
        let (applied_early, report) = (HashSet::new(), Box::new(report));
        let mut copy =
            Self { from, to, options, stop, checkpoint, applied_early, changes: 0, scanned_once: false, report };
        copy.check_target(found.is_some()).await?;
        match found {
            // Without a position, purged events cannot be detected.
            Some(checkpoint) if checkpoint.event.is_some() => {
                copy.checkpoint = checkpoint;
                (copy.report)(CopyProgress::Resumed);
            }
            _ => copy.reset_checkpoint().await?,
        }
        Ok(copy)
    }

    /// Rejects a target that is in use or has dogs, unless `--overwrite` is set.
    async fn check_target(&self, started: bool) -> Result<(), CopyError> {
        let to = &self.to.stores;
        if self.options.overwrite {
            return Ok(());
        }
        let pending = self.to.call(|| to.database.outbox.pending(1)).await?;
        if !pending.is_empty() || latest(&self.to).await?.is_some() {
            return Err(CopyError::InUse(self.to.name));
        }
        if !started && !self.to.call(|| to.dogs.count_by_breed()).await?.is_empty() {
            return Err(CopyError::NotEmpty(self.to.name));
        }
        Ok(())
    }

    /// Copies all dogs and applies later changes; with `follow`, until the stop.
    pub async fn run(&mut self) -> Result<(), CopyError> {
        if self.checkpoint.scanning {
            self.scan().await?;
        }
        self.scanned_once = true;
        loop {
            // Checked before the events are read, so that changes from before the stop are applied.
            let last = self.stop.is_requested() || !self.options.follow;
            let more_pending = self.catch_up().await?;
            if last {
                return if more_pending { self.scan_again(CopyProgress::DogsUnnamed).await } else { Ok(()) };
            }
            let outbox = &self.from.stores.database.outbox;
            tokio::select! {
                () = self.stop.requested() => {}
                () = async { outbox.wait(POLL_INTERVAL).await; sleep(COALESCE_WINDOW).await } => {}
            }
        }
    }

    /// Applies the changes that events report. Returns true when more events are pending than it applied.
    pub(super) async fn catch_up(&mut self) -> Result<bool, CopyError> {
        loop {
            let Some(events) = self.published().await? else {
                self.reset_checkpoint().await?;
                (self.report)(CopyProgress::EventsPurged);
                self.scan().await?;
                continue;
            };
            self.apply_events(&events, true).await?;
            if events.len() < PAGE as usize {
                break;
            }
            self.report_lag(&events);
        }
        let pending = self.from.call(|| self.from.stores.database.outbox.pending(PAGE)).await?;
        self.apply_events(&pending, false).await?;
        let more_pending = pending.len() >= PAGE as usize;
        if self.checkpoint.scanning {
            self.scan_again(CopyProgress::DogsUnnamed).await?;
        }
        self.report_lag(if more_pending { &pending } else { &[] });
        Ok(more_pending)
    }

    /// Reports the lag after applying these events; without events, the copy has caught up.
    fn report_lag(&mut self, events: &[Event]) {
        let lag = events.last().map(|event| SystemClock.now().since(event.time)).unwrap_or_default();
        (self.report)(CopyProgress::ChangesApplied { changes: self.changes, lag });
    }

    /// A page of the events published after the checkpoint; `None` when some of them may be purged.
    async fn published(&self) -> Result<Option<Vec<Event>>, StoreError> {
        let outbox = &self.from.stores.database.outbox;
        let position = self.checkpoint.event;
        match self.from.call(|| outbox.history(position, PAGE)).await? {
            History::UnknownEvent => Ok(None),
            // Without a position these are the latest events, and earlier ones may exist.
            History::Events(events) if position.is_none() && events.len() >= PAGE as usize => Ok(None),
            History::Events(events) => Ok(Some(events)),
        }
    }

    /// Copies the dogs again that the events name. Skips events that were applied before they were published.
    async fn apply_events(&mut self, events: &[Event], published: bool) -> Result<(), CopyError> {
        let is_new = |event: &&Event| {
            if published { !self.applied_early.remove(&event.id) } else { self.applied_early.insert(event.id) }
        };
        let affected = AffectedIds::of(events.iter().filter(is_new));
        let position = if published { events.last().map(|event| event.id) } else { None };
        let advanced = position.is_some() || affected != AffectedIds::default();
        if let Some(event) = position {
            self.checkpoint.event = Some(event);
        }
        if affected.unnamed {
            self.checkpoint = Checkpoint { scanning: true, after: None, ..self.checkpoint.clone() };
        }
        if advanced {
            let step = self.read_again(&affected).await?;
            self.write(&step).await?;
            self.changes += affected.dogs.len() as u64;
        }
        Ok(())
    }

    async fn read_again(&self, affected: &AffectedIds) -> Result<CopyStep, StoreError> {
        let ids: Vec<_> = affected.dogs.iter().copied().collect();
        let dogs = self.from.call(|| self.from.stores.replica.find_all(&ids)).await?;
        let found: BTreeSet<_> = dogs.iter().map(|dog| dog.id).collect();
        let removed = ids.into_iter().filter(|id| !found.contains(id) || affected.deleted.contains(id));
        Ok(self.step(dogs, removed.collect()))
    }

    /// Restarts the scan at the first dog, and the changes at the latest event.
    async fn reset_checkpoint(&mut self) -> Result<(), StoreError> {
        self.checkpoint = Checkpoint { event: latest(&self.from).await?, scanning: true, after: None };
        // The scan reads the changes that the pending events report.
        let pending = self.from.call(|| self.from.stores.database.outbox.pending(PAGE)).await?;
        self.applied_early = pending.iter().map(|event| event.id).collect();
        self.write(&self.step(Vec::new(), Vec::new())).await
    }

    async fn scan_again(&mut self, reason: CopyProgress) -> Result<(), CopyError> {
        self.checkpoint = Checkpoint { scanning: true, after: None, ..self.checkpoint.clone() };
        (self.report)(reason);
        self.scan().await
    }

    /// Copies all differences from the source to the target, from the checkpoint to the last dog.
    async fn scan(&mut self) -> Result<(), CopyError> {
        let stoppable = !self.scanned_once && !self.stop.is_requested();
        let mut comparison = Comparison::new(&self.from, &self.to, self.checkpoint.after);
        let (mut dogs, mut copied) = (0, 0);
        comparison.fill().await?;
        while let Some(compared) = comparison.step() {
            if stoppable && self.stop.is_requested() {
                return Err(CopyError::Stopped);
            }
            dogs += compared.dogs;
            self.checkpoint.after = compared.reached;
            let (put, removed) = self.resolve(compared.differences);
            let changed = put.len() + removed.len();
            copied += changed as u64;
            let step = self.step(put, removed);
            let write = async { if changed > 0 { self.write(&step).await } else { Ok(()) } };
            try_join(write, comparison.fill()).await?;
            (self.report)(CopyProgress::Scanned { dogs, copied });
        }
        self.checkpoint = Checkpoint { scanning: false, after: None, ..self.checkpoint.clone() };
        self.write(&self.step(Vec::new(), Vec::new())).await?;
        (self.report)(CopyProgress::ScanFinished);
        Ok(())
    }

    /// The dogs to write and to remove at the target to resolve the differences.
    fn resolve(&self, differences: Vec<Difference>) -> (Vec<Dog>, Vec<DogId>) {
        let (mut put, mut removed) = (Vec::new(), Vec::new());
        for difference in differences {
            match difference {
                Difference::Missing(dog) => put.push(dog),
                Difference::Extra(dog) => removed.push(dog.id),
                Difference::Changed { from, to } => {
                    // The port retains a later revision, so the dog must be removed first.
                    removed.extend(Some(to.id).filter(|_| self.options.overwrite && to.revision > from.revision));
                    put.push(from);
                }
            }
        }
        (put, removed)
    }

    fn step(&self, dogs: Vec<Dog>, removed: Vec<DogId>) -> CopyStep {
        CopyStep { source: self.from.name.to_owned(), removed, dogs, checkpoint: self.checkpoint.clone() }
    }

    async fn write(&self, step: &CopyStep) -> Result<(), StoreError> {
        self.to.call(|| self.to.stores.replica.apply(step)).await
    }
}

/// The event that was published last.
async fn latest(store: &StoreHandle) -> Result<Option<Uuid>, StoreError> {
    match store.call(|| store.stores.database.outbox.history(None, 1)).await? {
        History::Events(events) => Ok(events.last().map(|event| event.id)),
        History::UnknownEvent => Ok(None),
    }
}
