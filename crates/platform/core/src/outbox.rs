//! Ports of the transactional outbox, the inbox and the dead-letter store.
//!
//! A service stores an event in the same transaction as the change that caused it. The relay reads the [`Outbox`] and
//! publishes; consumers record in the [`Inbox`] what they have handled; an event that a consumer group gave up on is
//! stored as a [`DeadLetter`].
//!
//! Every method reports a [`RepoError`]: `Unavailable` when the store does not answer, so that a later call may
//! succeed, `Corrupt` when a stored row cannot be read, `Backend` for anything else.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::{Event, RepoError, Timestamp};

/// The events that are not published yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Number of pending events.
    pub pending: u64,
    /// The earliest [`Event::time`] among them; `None` without pending events.
    pub oldest: Option<Timestamp>,
}

/// Result of [`Outbox::history`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum History {
    /// The events that were published after the given one, oldest first.
    Events(Vec<Event>),
    /// The given event was never published or is purged, so what followed it cannot be determined.
    UnknownEvent,
}

/// Stored events, and the lease that decides which process publishes them.
///
/// Rows are written by the repositories, together with the change that caused the event; [`Outbox::append`] is for events
/// without one, such as tasks. Events are read back byte for byte as they were written, with their trace.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// Stores events that are not the consequence of another change, in this order, all or none. They are durable when this
    /// returns. The ids are new. After an error it is unknown whether they are stored.
    async fn append(&self, events: &[Event]) -> Result<(), RepoError>;

    /// Acquires the lease for `holder`, or renews it, so that it expires after `ttl`. Returns whether `holder` has it.
    ///
    /// At most one holder has the lease at a time, also when several ask at once. The store's clock decides when it
    /// expires, not the clock of the calling process.
    ///
    /// A lease that expires later than `ttl` from now comes from a wrong clock. Another holder gets it after it has
    /// seen for `ttl` that nobody renews it.
    async fn lease(&self, holder: Uuid, ttl: Duration) -> Result<bool, RepoError>;

    /// Releases the lease, so that another holder gets it before it expires. Does nothing when `holder` does not have
    /// it.
    async fn release(&self, holder: Uuid) -> Result<(), RepoError>;

    /// Returns up to `limit` events that are not published, in commit order; ids and times do not matter.
    ///
    /// An event that commits later than others never appears before them, so a reader that publishes in this order
    /// misses none, also when many transactions commit at once.
    async fn pending(&self, limit: u32) -> Result<Vec<Event>, RepoError>;

    /// Records durably that these events are published, in this order, at `now`.
    ///
    /// Unknown ids are ignored. An event that is already marked stays as it is, with its first time.
    async fn mark_published(&self, ids: &[Uuid], now: Timestamp) -> Result<(), RepoError>;

    /// Returns the number and the age of the pending events.
    async fn backlog(&self) -> Result<Backlog, RepoError>;

    /// Returns up to `limit` published events that follow the event `after`, in publish order; with `None`, the latest
    /// ones, oldest first.
    ///
    /// An event that was replayed is found at its latest position; after its id, a reader that stopped at its first
    /// position still gets everything that followed. [`History::UnknownEvent`] for an `after` that was never published
    /// or is purged.
    async fn history(&self, after: Option<Uuid>, limit: u32) -> Result<History, RepoError>;

    /// Deletes one batch: at most `limit` events that were published before `before`, and as many receipts and attempt
    /// counts of that age, each kind in a short transaction of its own, oldest first. Pending events are never deleted.
    ///
    /// Returns the number of deleted rows of all kinds. 0 means that nothing of that age is left, so a caller that
    /// repeats the call until then deletes everything. A finished batch stays deleted when a later one fails. A store
    /// that drops whole partitions may delete more than `limit`.
    async fn purge(&self, before: Timestamp, limit: u32) -> Result<u64, RepoError>;

    /// Returns when a commit of this process may have added events, or after `timeout`.
    ///
    /// A commit since the last call counts, so no event is missed between [`Outbox::pending`] and this call.
    async fn wait(&self, timeout: Duration);
}

/// Record that a consumer group has handled an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The consumer group.
    pub group: String,
    /// The event's id.
    pub event: Uuid,
    /// When the group handled it. [`Outbox::purge`] compares with this time.
    pub at: Timestamp,
}

/// Receipts and attempt counts of consumer groups.
///
/// A handler whose effect is a write to the same store passes its [`Receipt`] into that write, so that both commit
/// together. This port serves all other handlers.
#[async_trait]
pub trait Inbox: Send + Sync + 'static {
    /// Returns whether the group has a receipt for the event.
    async fn seen(&self, group: &str, event: Uuid) -> Result<bool, RepoError> {
        Ok(self.list_seen(group, &[event]).await?.contains(&event))
    }

    /// Returns those of the events for which the group has a receipt.
    async fn list_seen(&self, group: &str, events: &[Uuid]) -> Result<HashSet<Uuid>, RepoError>;

    /// Stores a receipt durably. Returns false when the group has one already; of concurrent calls one returns true.
    async fn record(&self, receipt: &Receipt) -> Result<bool, RepoError>;

    /// Stores receipts of one group durably in one transaction: after an error, none of them is stored. The events are
    /// distinct; there may be none.
    ///
    /// Returns the events that the group had no receipt for; existing receipts stay as they are. Of concurrent calls
    /// with one event, one returns it.
    async fn record_all(&self, receipts: &[Receipt]) -> Result<HashSet<Uuid>, RepoError>;

    /// Counts an attempt of the group at the event, durably and before the attempt starts. Returns the number of
    /// attempts, including this one; the first is 1.
    ///
    /// The count is also right when the handler terminates the process. Concurrent calls are all counted.
    async fn count_attempt(&self, group: &str, event: Uuid, now: Timestamp) -> Result<u32, RepoError> {
        Ok(self.count_attempts(group, &[event], now).await?.get(&event).copied().unwrap_or(1))
    }

    /// Counts an attempt of the group at each of the events, like [`Inbox::count_attempt`], in one transaction: after an
    /// error, none is counted. The events are distinct; there may be none. Returns the number of attempts at each.
    async fn count_attempts(
        &self,
        group: &str,
        events: &[Uuid],
        now: Timestamp,
    ) -> Result<HashMap<Uuid, u32>, RepoError>;

    /// Returns how many attempts of the group at the event are counted; 0 for an unknown event.
    async fn attempts(&self, group: &str, event: Uuid) -> Result<u32, RepoError> {
        Ok(self.list_attempts(group, &[event]).await?.get(&event).copied().unwrap_or(0))
    }

    /// Returns how many attempts of the group at each of the events are counted; nothing for unknown events.
    async fn list_attempts(&self, group: &str, events: &[Uuid]) -> Result<HashMap<Uuid, u32>, RepoError>;

    /// Deletes the receipt and the attempt count of the group for the event, so that the event is handled again with
    /// all its attempts. Succeeds when there is nothing to delete.
    async fn forget(&self, group: &str, event: Uuid) -> Result<(), RepoError>;
}

/// An event that a consumer group gave up on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The event as it was delivered.
    pub event: Event,
    /// The consumer group.
    pub group: String,
    /// Number of failed attempts.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub reason: String,
    /// When the group gave up.
    pub at: Timestamp,
}

/// Stores dead letters, for brokers that have no durable storage for them.
#[async_trait]
pub trait DeadLetterSink: Send + Sync + 'static {
    /// Stores a dead letter durably. There is at most one per event and group: the one with the latest
    /// [`DeadLetter::at`] replaces an older one, and an older one that arrives late changes nothing.
    async fn store(&self, dead_letter: &DeadLetter) -> Result<(), RepoError>;
}

/// Operations on stored dead letters. The key of a dead letter is its event's id and its group.
#[async_trait]
pub trait DeadLetters: Send + Sync + 'static {
    /// Returns up to `limit` dead letters of events with ids greater than `after`, ordered by event id and group.
    ///
    /// The dead letters of one event are on one page, so that the last event id of a page can be the next `after`.
    async fn list(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<DeadLetter>, RepoError>;

    /// Returns the dead letters of one event, one for each group that gave up on it, ordered by group.
    async fn find(&self, event: Uuid) -> Result<Vec<DeadLetter>, RepoError>;

    /// Publishes the event again, with the same id, time and trace, and deletes its dead letters. Returns false when
    /// there are none.
    ///
    /// An event that is still pending is not doubled; one whose row is purged is created again. A group that gave up
    /// has a receipt for the event and skips it unless [`Inbox::forget`] is called first.
    async fn replay(&self, event: Uuid, now: Timestamp) -> Result<bool, RepoError>;

    /// Deletes the dead letters of an event permanently. Returns false when there are none.
    async fn discard(&self, event: Uuid) -> Result<bool, RepoError>;
}
