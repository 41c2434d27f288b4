//! Brings the dogs of one store into another, and follows what happens to them.
//!
//! The place in the source's events is read before the dogs are walked through. So every change that the walk may have
//! missed is told behind that place, published or still waiting, and each dog that is told of is read again from the
//! source. Where events do not name their dogs, as those of imports, or are forgotten, all dogs are compared anew.

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

use super::compare::{Comparison, Difference};
use super::events::Touched;
use super::{End, PAGE, StoreError};

/// How long to wait for events at the longest before looking anyway.
const POLL: Duration = Duration::from_secs(1);
/// How long events gather before they are looked at together.
const TOGETHER: Duration = Duration::from_millis(100);

/// How a copy is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Go on after the dogs are over, and follow what happens to them until the stop.
    pub follow: bool,
    /// The second store may have dogs and events of its own; dogs that the first one lacks are removed there, and
    /// those that are at a later revision are replaced.
    pub overwrite: bool,
}

/// Why a copy ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The second store has dogs, and no copy of the first was begun there.
    #[error("the store `{0}` has dogs already; with `--overwrite` it becomes a copy all the same and loses them")]
    NotEmpty(&'static str),
    /// The second store is written to by others than the copy.
    #[error("a service writes to the store `{0}`; with `--overwrite` it becomes a copy all the same and loses that")]
    InUse(&'static str),
    /// A stop was asked for in the middle.
    #[error("stopped before the end; run it again to go on")]
    Stopped,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a copy tells while it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// An earlier run did a part of it.
    Resumed,
    /// The source has forgotten events that were not carried over: all dogs are compared anew.
    Forgotten,
    /// Events tell of dogs without naming them, as those of imports do: all dogs are compared anew.
    Unnamed,
    /// So far the walk through the dogs has come.
    Walked {
        /// Dogs compared.
        dogs: u64,
        /// Dogs written or removed.
        carried: u64,
    },
    /// The walk is at its end.
    Through,
    /// Changes are carried over up to some time ago.
    Followed {
        /// Dogs looked at because of events, in all.
        changes: u64,
        /// How long ago; nothing, when there was nothing left to carry over.
        lag: Duration,
    },
}

/// A copy of one store in another.
pub struct Copy<'t> {
    pub(super) from: End,
    pub(super) to: End,
    options: Options,
    stop: Stop,
    checkpoint: Checkpoint,
    /// Events that were looked at before they were published.
    known: HashSet<Uuid>,
    changes: u64,
    /// All dogs were over once: a stop lets what is begun after that come to its end.
    arrived: bool,
    tell: Box<dyn FnMut(Told) + Send + 't>,
}

impl<'t> Copy<'t> {
    /// Begins a copy, or takes it up where an earlier run stopped.
    pub async fn begin(
        from: End,
        to: End,
        options: Options,
        stop: Stop,
        tell: impl FnMut(Told) + Send + 't,
    ) -> Result<Self, CopyError> {
        let found = to.ask(|| to.stores.replica.checkpoint(from.name)).await?;
        let checkpoint = Checkpoint { event: None, scanning: true, after: None };
        let (known, tell) = (HashSet::new(), Box::new(tell));
        let mut copy = Self { from, to, options, stop, checkpoint, known, changes: 0, arrived: false, tell };
        copy.check(found.is_some()).await?;
        match found {
            // Without a place there is no telling what was forgotten since.
            Some(checkpoint) if checkpoint.event.is_some() => {
                copy.checkpoint = checkpoint;
                (copy.tell)(Told::Resumed);
            }
            _ => copy.walk_anew().await?,
        }
        Ok(copy)
    }

    /// Refuses a second store that others use.
    async fn check(&self, begun: bool) -> Result<(), CopyError> {
        let to = &self.to.stores;
        if self.options.overwrite {
            return Ok(());
        }
        let waiting = self.to.ask(|| to.outbox.pending(1)).await?;
        if !waiting.is_empty() || latest(&self.to).await?.is_some() {
            return Err(CopyError::InUse(self.to.name));
        }
        if !begun && !self.to.ask(|| to.dogs.count_by_breed()).await?.is_empty() {
            return Err(CopyError::NotEmpty(self.to.name));
        }
        Ok(())
    }

    /// Brings all dogs over and what has happened to them since; follows until the stop, if that is wanted.
    pub async fn run(&mut self) -> Result<(), CopyError> {
        if self.checkpoint.scanning {
            self.walk().await?;
        }
        self.arrived = true;
        loop {
            // Asked before the look at the events, so that what happened before the stop is carried over.
            let last = self.stop.is_requested() || !self.options.follow;
            let behind = self.catch_up().await?;
            if last {
                return if behind { self.walk_again(Told::Unnamed).await } else { Ok(()) };
            }
            let outbox = &self.from.stores.outbox;
            tokio::select! {
                () = self.stop.requested() => {}
                () = async { outbox.wait(POLL).await; sleep(TOGETHER).await } => {}
            }
        }
    }

    /// Carries over what the events tell. True when more wait than are looked at.
    pub(super) async fn catch_up(&mut self) -> Result<bool, CopyError> {
        loop {
            let Some(events) = self.published().await? else {
                self.walk_anew().await?;
                (self.tell)(Told::Forgotten);
                self.walk().await?;
                continue;
            };
            self.take(&events, true).await?;
            if events.len() < PAGE as usize {
                break;
            }
            self.tell_lag(&events);
        }
        let waiting = self.from.ask(|| self.from.stores.outbox.pending(PAGE)).await?;
        self.take(&waiting, false).await?;
        let behind = waiting.len() >= PAGE as usize;
        if self.checkpoint.scanning {
            self.walk_again(Told::Unnamed).await?;
        }
        self.tell_lag(if behind { &waiting } else { &[] });
        Ok(behind)
    }

    /// Tells how far the copy is behind, when it has come to the last of these events, or to the end.
    fn tell_lag(&mut self, events: &[Event]) {
        let lag = events.last().map(|event| SystemClock.now().since(event.time)).unwrap_or_default();
        (self.tell)(Told::Followed { changes: self.changes, lag });
    }

    /// Events published behind the place, a page at most; `None` when some may be forgotten.
    async fn published(&self) -> Result<Option<Vec<Event>>, StoreError> {
        let outbox = &self.from.stores.outbox;
        let place = self.checkpoint.event;
        match self.from.ask(|| outbox.history(place, PAGE)).await? {
            History::UnknownEvent => Ok(None),
            // Without a place these are the latest ones, and there may be others before them.
            History::Events(events) if place.is_none() && events.len() >= PAGE as usize => Ok(None),
            History::Events(events) => Ok(Some(events)),
        }
    }

    /// Looks at the dogs again that events tell of, unless that was done before they were published.
    async fn take(&mut self, events: &[Event], published: bool) -> Result<(), CopyError> {
        let is_new = |event: &&Event| {
            if published { !self.known.remove(&event.id) } else { self.known.insert(event.id) }
        };
        let touched = Touched::by(events.iter().filter(is_new));
        let place = if published { events.last().map(|event| event.id) } else { None };
        let moved = place.is_some() || touched != Touched::default();
        if let Some(place) = place {
            self.checkpoint.event = Some(place);
        }
        if touched.unnamed {
            self.checkpoint = Checkpoint { scanning: true, after: None, ..self.checkpoint.clone() };
        }
        if moved {
            let step = self.look_again(&touched).await?;
            self.write(&step).await?;
            self.changes += touched.dogs.len() as u64;
        }
        Ok(())
    }

    async fn look_again(&self, touched: &Touched) -> Result<CopyStep, StoreError> {
        let ids: Vec<_> = touched.dogs.iter().copied().collect();
        let dogs = self.from.ask(|| self.from.stores.replica.find_all(&ids)).await?;
        let there: BTreeSet<_> = dogs.iter().map(|dog| dog.id).collect();
        let gone = ids.into_iter().filter(|id| !there.contains(id) || touched.deleted.contains(id));
        Ok(self.step(dogs, gone.collect()))
    }

    /// Has the walk begin at the first dog, and changes be carried over from now on.
    async fn walk_anew(&mut self) -> Result<(), StoreError> {
        self.checkpoint = Checkpoint { event: latest(&self.from).await?, scanning: true, after: None };
        // The walk comes upon what these tell of.
        let waiting = self.from.ask(|| self.from.stores.outbox.pending(PAGE)).await?;
        self.known = waiting.iter().map(|event| event.id).collect();
        self.write(&self.step(Vec::new(), Vec::new())).await
    }

    async fn walk_again(&mut self, why: Told) -> Result<(), CopyError> {
        self.checkpoint = Checkpoint { scanning: true, after: None, ..self.checkpoint.clone() };
        (self.tell)(why);
        self.walk().await
    }

    /// Makes the second store equal to the first, from where the walk is up to the last dog.
    async fn walk(&mut self) -> Result<(), CopyError> {
        let stoppable = !self.arrived && !self.stop.is_requested();
        let mut comparison = Comparison::new(&self.from, &self.to, self.checkpoint.after);
        let (mut dogs, mut carried) = (0, 0);
        comparison.fill().await?;
        while let Some(compared) = comparison.step() {
            if stoppable && self.stop.is_requested() {
                return Err(CopyError::Stopped);
            }
            dogs += compared.dogs;
            self.checkpoint.after = compared.reached;
            let (put, removed) = self.settle(compared.differences);
            let changed = put.len() + removed.len();
            carried += changed as u64;
            let step = self.step(put, removed);
            let write = async { if changed > 0 { self.write(&step).await } else { Ok(()) } };
            try_join(write, comparison.fill()).await?;
            (self.tell)(Told::Walked { dogs, carried });
        }
        self.checkpoint = Checkpoint { scanning: false, after: None, ..self.checkpoint.clone() };
        self.write(&self.step(Vec::new(), Vec::new())).await?;
        (self.tell)(Told::Through);
        Ok(())
    }

    /// What to write and what to remove, so that the differences are gone.
    fn settle(&self, differences: Vec<Difference>) -> (Vec<Dog>, Vec<DogId>) {
        let (mut put, mut removed) = (Vec::new(), Vec::new());
        for difference in differences {
            match difference {
                Difference::Missing(dog) => put.push(dog),
                Difference::Extra(dog) => removed.push(dog.id),
                Difference::Changed { from, to } => {
                    // The port would keep a later revision.
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
        self.to.ask(|| self.to.stores.replica.apply(step)).await
    }
}

/// The event that was published last.
async fn latest(end: &End) -> Result<Option<Uuid>, StoreError> {
    match end.ask(|| end.stores.outbox.history(None, 1)).await? {
        History::Events(events) => Ok(events.last().map(|event| event.id)),
        History::UnknownEvent => Ok(None),
    }
}
