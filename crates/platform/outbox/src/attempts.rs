//! Counts the attempts at an event before each attempt, so that an event whose handler terminates the process also
//! reaches its maximum and becomes a dead letter.
//!
//! A count in memory is lost with the process, and the brokers' counts differ: Kafka and the in-process broker have
//! none, NATS and RabbitMQ also count prefetched deliveries. So the inbox counts. That costs a write, which is avoided
//! for the first delivery of an event that occurred after this process started. A handler that terminates the process
//! is therefore called once more than the maximum, and once more for each further process that was running when the
//! event occurred.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kennel_core::{Clock, Delivery, Inbox, RepoError, Timestamp, TraceContext};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use uuid::Uuid;

/// Maximum number of failed attempts in memory. More than the deliveries that a member of a group can have at once, which with
/// Kafka are 4,096: during an outage all of them are attempted in turn, and none may be forgotten.
const MAX_PREVIOUS_ATTEMPTS: usize = 16_384;
/// An event whose time is later than now plus this was created with a wrong clock, so its time proves nothing.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(1);

/// Isolates handler calls that may terminate the process: while one runs, no other handler runs, because it would be
/// counted as a failed attempt too. Shared by all consumers of a process.
#[derive(Debug, Clone, Default)]
pub struct Quarantine(Arc<RwLock<()>>);

/// The last attempt of this process at an event that will be delivered again.
#[derive(Debug, Clone, Default)]
pub(crate) struct PreviousAttempt {
    /// The trace of the last attempt.
    pub(crate) trace: Option<TraceContext>,
    /// The attempt returned, so it did not terminate the process.
    pub(crate) has_ended: bool,
    /// It failed outside the handler, in a batch, or because a dependency was unavailable: the next attempt is not
    /// counted.
    pub(crate) is_uncounted: bool,
    /// It failed in a batch that failed as a whole: the next attempt is in a batch of its own.
    pub(crate) is_isolated: bool,
}

impl PreviousAttempt {
    /// The handler returned, and its failure is counted.
    pub(crate) fn failed() -> Self {
        Self { has_ended: true, ..Self::default() }
    }

    /// The handler returned an error for a batch.
    pub(crate) fn isolated() -> Self {
        Self { has_ended: true, is_uncounted: true, is_isolated: true, trace: None }
    }

    /// The attempt does not count: the handler succeeded but its receipt could not be recorded, or a dependency was
    /// unavailable.
    pub(crate) fn uncounted() -> Self {
        Self { has_ended: true, is_uncounted: true, ..Self::default() }
    }
}

/// Number of an attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttemptNumber {
    /// The first is 1.
    pub(crate) number: u32,
    /// Whether the inbox has counted it.
    pub(crate) is_counted: bool,
}

/// Permission to call the handler while this exists.
pub(crate) struct Attempt {
    pub(crate) number: AttemptNumber,
    _permit: AttemptPermit,
}

/// Permission to call the handler with a batch while this exists.
pub(crate) struct BatchAttempt {
    /// The numbers of the attempts, in the order of the deliveries; `None` for one that must be handled alone, because an
    /// earlier attempt at it, or at one before it in its key, may have terminated its process.
    pub(crate) numbers: Vec<Option<AttemptNumber>>,
    _permit: AttemptPermit,
}

impl AttemptNumber {
    const FIRST: Self = Self { number: 1, is_counted: false };

    /// An attempt that repeats an uncounted one, after this many that the inbox has counted.
    const fn repeated(counted: u32) -> Self {
        if counted == 0 { Self::FIRST } else { Self { number: counted, is_counted: true } }
    }

    const fn counted(number: u32) -> Self {
        Self { number, is_counted: true }
    }
}

#[expect(dead_code, reason = "held until dropped")]
enum AttemptPermit {
    Shared(OwnedRwLockReadGuard<()>),
    Exclusive(OwnedRwLockWriteGuard<()>),
}

/// The attempts of one consumer group.
pub(crate) struct Attempts {
    group: &'static str,
    inbox: Arc<dyn Inbox>,
    clock: Arc<dyn Clock>,
    quarantine: Quarantine,
    started: Timestamp,
    previous: Mutex<HashMap<Uuid, PreviousAttempt>>,
}

impl Attempts {
    pub(crate) fn new(
        group: &'static str,
        inbox: Arc<dyn Inbox>,
        clock: Arc<dyn Clock>,
        quarantine: Quarantine,
    ) -> Self {
        let started = clock.now();
        Self { group, inbox, clock, quarantine, started, previous: Mutex::default() }
    }

    /// Counts an attempt before it starts. When an earlier attempt may have terminated its process, this one waits
    /// until no other handler runs and runs alone.
    pub(crate) async fn begin(
        &self,
        delivery: &Delivery,
        previous: Option<&PreviousAttempt>,
    ) -> Result<Attempt, RepoError> {
        let event = delivery.event.id;
        if !self.may_be_redelivery(delivery) {
            return Ok(Attempt { number: AttemptNumber::FIRST, _permit: self.shared().await });
        }
        let suspect =
            !previous.is_some_and(|previous| previous.has_ended) && self.inbox.attempts(self.group, event).await? > 0;
        let permit = if suspect {
            AttemptPermit::Exclusive(Arc::clone(&self.quarantine.0).write_owned().await)
        } else {
            self.shared().await
        };
        let number = if previous.is_some_and(|previous| previous.is_uncounted) {
            AttemptNumber::repeated(self.inbox.attempts(self.group, event).await?)
        } else {
            AttemptNumber::counted(self.inbox.count_attempt(self.group, event, self.clock.now()).await?)
        };
        Ok(Attempt { number, _permit: permit })
    }

    /// Counts the attempts at a batch before it starts, like [`Self::begin`] but with one read and one write. With
    /// `first_of_key`, an attempt is counted with the first event of each key instead of each event.
    pub(crate) async fn begin_batch(
        &self,
        deliveries: &[(&Delivery, Option<&PreviousAttempt>)],
        first_of_key: bool,
    ) -> Result<BatchAttempt, RepoError> {
        let ids = |deliveries: &[&(&Delivery, Option<&PreviousAttempt>)]| -> Vec<Uuid> {
            deliveries.iter().map(|(delivery, _)| delivery.event.id).collect()
        };
        let repeated: Vec<_> = deliveries.iter().filter(|(delivery, _)| self.may_be_redelivery(delivery)).collect();
        let mut numbers: HashMap<Uuid, Option<AttemptNumber>> = HashMap::new();
        let permit = if repeated.is_empty() {
            self.shared().await
        } else {
            let known = self.inbox.list_attempts(self.group, &ids(&repeated)).await?;
            let known = |delivery: &Delivery| known.get(&delivery.event.id).copied().unwrap_or(0);
            let permit = self.shared().await;
            let (mut to_count, mut counted_keys, mut suspect_keys) = (Vec::new(), HashSet::new(), HashSet::new());
            for repeated in &repeated {
                let (delivery, previous) = **repeated;
                let (id, key) = (delivery.event.id, delivery.event.key.as_str());
                let has_ended = previous.is_some_and(|previous| previous.has_ended);
                if !has_ended && known(delivery) > 0 {
                    suspect_keys.insert(key);
                }
                if suspect_keys.contains(key) {
                    numbers.insert(id, None);
                } else if previous.is_some_and(|previous| previous.is_uncounted) {
                    numbers.insert(id, Some(AttemptNumber::repeated(known(delivery))));
                } else if !first_of_key || counted_keys.insert(key) {
                    to_count.push(*repeated);
                }
            }
            if !to_count.is_empty() {
                let counted = self.inbox.count_attempts(self.group, &ids(&to_count), self.clock.now()).await?;
                numbers
                    .extend(counted.into_iter().map(|(event, number)| (event, Some(AttemptNumber::counted(number)))));
            }
            permit
        };
        let number = |(delivery, _): &(&Delivery, Option<&PreviousAttempt>)| match numbers.get(&delivery.event.id) {
            None => Some(AttemptNumber::FIRST),
            Some(number) => *number,
        };
        Ok(BatchAttempt { numbers: deliveries.iter().map(number).collect(), _permit: permit })
    }

    /// Counts failed attempts that were not counted before they started. Returns their numbers.
    pub(crate) async fn failed_batch(&self, events: &[Uuid]) -> Result<HashMap<Uuid, u32>, RepoError> {
        if events.is_empty() {
            return Ok(HashMap::new());
        }
        self.inbox.count_attempts(self.group, events, self.clock.now()).await
    }

    /// Counts a failed attempt that was not counted before it started. Returns its number.
    pub(crate) async fn failed(&self, attempt: &Attempt, event: Uuid) -> Result<u32, RepoError> {
        if attempt.number.is_counted {
            return Ok(attempt.number.number);
        }
        self.inbox.count_attempt(self.group, event, self.clock.now()).await
    }

    pub(crate) fn store_previous(&self, event: Uuid, previous: PreviousAttempt) {
        let mut all = self.previous.lock().unwrap_or_else(PoisonError::into_inner);
        // Entries of events that another member has handled are never taken out.
        if all.len() == MAX_PREVIOUS_ATTEMPTS {
            all.clear();
        }
        all.insert(event, previous);
    }

    pub(crate) fn take_previous(&self, event: Uuid) -> Option<PreviousAttempt> {
        self.previous.lock().unwrap_or_else(PoisonError::into_inner).remove(&event)
    }

    async fn shared(&self) -> AttemptPermit {
        AttemptPermit::Shared(Arc::clone(&self.quarantine.0).read_owned().await)
    }

    /// Returns whether a handler may have been called for the event before, here or in another process. A time in the
    /// future comes from a wrong clock, so the event may be older than this process.
    pub(crate) fn may_be_redelivery(&self, delivery: &Delivery) -> bool {
        let happened = delivery.event.time;
        let future = self.clock.now().saturating_add(CLOCK_TOLERANCE);
        delivery.attempt > 1 || happened < self.started || happened > future
    }
}
