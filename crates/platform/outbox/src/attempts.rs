//! Counts how often handling an event begins, so that one whose handler ends the process is given up on as well.
//!
//! What is counted in memory ends with the process, and brokers count otherwise: Kafka and the in-process broker not at
//! all, NATS and RabbitMQ also what was only read ahead. So the inbox counts. That is a write, and is spared where it can
//! be: the first delivery of an event that happened after this process started is not counted before its handler
//! runs. A handler that ends the process is therefore called once more than the limit, and once more for each further
//! process that was running when the event happened.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kennel_core::{Clock, Delivery, Inbox, RepoError, Timestamp, TraceContext};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use uuid::Uuid;

/// The most failed attempts that are remembered.
const MAX_REMEMBERED: usize = 1_024;
/// An event that happens later than this from now has a time that says nothing about what was before.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(1);

/// Keeps handlers that may end the process apart from all others: those that run at the same time would be suspected as
/// well. Shared by all consumers of a process.
#[derive(Debug, Clone, Default)]
pub struct Quarantine(Arc<RwLock<()>>);

/// What a process knows of an event that it has tried and that is to come again.
#[derive(Debug, Default)]
pub(crate) struct Tried {
    /// The trace of the last attempt.
    pub(crate) trace: Option<TraceContext>,
    /// An attempt was made here and came to an end.
    pub(crate) has_ended: bool,
    /// Its failure was not the handler's: the next attempt is not counted.
    pub(crate) is_excused: bool,
}

/// A handler may be called, as long as this lives.
pub(crate) struct Attempt {
    /// Which attempt this is, starting at 1.
    pub(crate) number: u32,
    is_counted: bool,
    _permit: Permit,
}

#[expect(dead_code, reason = "held until dropped")]
enum Permit {
    Shared(OwnedRwLockReadGuard<()>),
    Alone(OwnedRwLockWriteGuard<()>),
}

/// The attempts of one consumer group.
pub(crate) struct Attempts {
    group: &'static str,
    inbox: Arc<dyn Inbox>,
    clock: Arc<dyn Clock>,
    quarantine: Quarantine,
    started: Timestamp,
    tried: Mutex<HashMap<Uuid, Tried>>,
}

impl Attempts {
    pub(crate) fn new(
        group: &'static str,
        inbox: Arc<dyn Inbox>,
        clock: Arc<dyn Clock>,
        quarantine: Quarantine,
    ) -> Self {
        let started = clock.now();
        Self { group, inbox, clock, quarantine, started, tried: Mutex::default() }
    }

    /// Counts an attempt before it is made. One at an event whose last attempt this process does not know the end of is
    /// made while no other handler runs.
    pub(crate) async fn begin(&self, delivery: &Delivery, before: Option<&Tried>) -> Result<Attempt, RepoError> {
        let event = delivery.event.id;
        if !self.may_be_a_repetition(delivery) {
            return Ok(Attempt { number: 1, is_counted: false, _permit: self.shared().await });
        }
        let suspect = !before.is_some_and(|before| before.has_ended) && self.inbox.begun(self.group, event).await? > 0;
        let permit = if suspect {
            Permit::Alone(Arc::clone(&self.quarantine.0).write_owned().await)
        } else {
            self.shared().await
        };
        let number = if before.is_some_and(|before| before.is_excused) {
            self.inbox.begun(self.group, event).await?.max(1)
        } else {
            self.inbox.begin(self.group, event, self.clock.now()).await?
        };
        Ok(Attempt { number, is_counted: true, _permit: permit })
    }

    /// Counts an attempt that failed, unless it was counted before it was made; answers which it was.
    pub(crate) async fn failed(&self, attempt: &Attempt, event: Uuid) -> Result<u32, RepoError> {
        if attempt.is_counted {
            return Ok(attempt.number);
        }
        self.inbox.begin(self.group, event, self.clock.now()).await
    }

    pub(crate) fn remember(&self, event: Uuid, tried: Tried) {
        let mut all = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        // Some may have gone on at another member.
        if all.len() == MAX_REMEMBERED {
            all.clear();
        }
        all.insert(event, tried);
    }

    pub(crate) fn recall(&self, event: Uuid) -> Option<Tried> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner).remove(&event)
    }

    async fn shared(&self) -> Permit {
        Permit::Shared(Arc::clone(&self.quarantine.0).read_owned().await)
    }

    /// Whether a handler may have been called for the event before, here or in another process. A time in the future is
    /// that of a clock that was ahead, and may be of before this process.
    fn may_be_a_repetition(&self, delivery: &Delivery) -> bool {
        let happened = delivery.event.time;
        let future = self.clock.now().saturating_add(CLOCK_TOLERANCE);
        delivery.attempt > 1 || happened < self.started || happened > future
    }
}
