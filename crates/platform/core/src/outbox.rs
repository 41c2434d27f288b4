//! The ports around events that are stored with the change that caused them.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::{Event, RepoError, Timestamp};

/// What has not been published yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Events that wait.
    pub pending: u64,
    /// When the oldest of them happened.
    pub oldest: Option<Timestamp>,
}

/// Events published after a given one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum History {
    /// They follow, oldest first.
    Events(Vec<Event>),
    /// The given one is not known, or no longer: what came between cannot be told.
    Gone,
}

/// The events stored beside the data, and who may publish them.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// Takes the lease for `holder`, or renews it, for `ttl`. False while another holds it.
    ///
    /// The store's clock says when it runs out, not that of the process that asks. A lease that ends further ahead than
    /// `ttl` was given by a clock that was wrong; another process gets it after it has seen for `ttl` that it is not
    /// renewed.
    async fn lease(&self, holder: Uuid, ttl: Duration) -> Result<bool, RepoError>;

    /// Gives the lease up, so that another need not wait for it to run out. Nothing happens when `holder` has it not.
    async fn release(&self, holder: Uuid) -> Result<(), RepoError>;

    /// Up to `limit` events that are not published, in the order they were committed.
    async fn pending(&self, limit: u32) -> Result<Vec<Event>, RepoError>;

    /// Records that these events are published.
    async fn mark_published(&self, ids: &[Uuid], now: Timestamp) -> Result<(), RepoError>;

    /// How much waits.
    async fn backlog(&self) -> Result<Backlog, RepoError>;

    /// Up to `limit` published events after the event `after`, in the order of their publishing;
    /// with `None`, the latest ones.
    async fn history(&self, after: Option<Uuid>, limit: u32) -> Result<History, RepoError>;

    /// Forgets one batch: at most `limit` events published before `before`, and as many receipts and counted attempts as
    /// old, each kind in a short transaction of its own, the oldest first. Answers how many, all together; 0 once nothing
    /// as old is left, so whoever calls until then removes all. A batch that is done stays done, whatever
    /// becomes of the next one. A store that removes whole files at a time may take more than `limit`.
    async fn purge(&self, before: Timestamp, limit: u32) -> Result<u64, RepoError>;

    /// Returns when a commit of this process may have added events, or after `timeout`.
    async fn wait(&self, timeout: Duration);
}

/// The mark that one group has dealt with one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The consumer group.
    pub group: String,
    /// The event's id.
    pub event: Uuid,
    /// When it was dealt with.
    pub at: Timestamp,
}

/// Remembers what each group has dealt with.
///
/// A handler whose effect is a write to the same store passes its [`Receipt`] into that write, so that both commit
/// together; this port serves the others.
#[async_trait]
pub trait Inbox: Send + Sync + 'static {
    /// Whether the group has dealt with the event.
    async fn seen(&self, group: &str, event: Uuid) -> Result<bool, RepoError>;

    /// Records a receipt. False when it was there already.
    async fn record(&self, receipt: &Receipt) -> Result<bool, RepoError>;

    /// Records that the group begins to handle the event, for good and before it does; answers how often it has, this
    /// time included. So the count is right also when the handling ends the process.
    async fn begin(&self, group: &str, event: Uuid, now: Timestamp) -> Result<u32, RepoError>;

    /// How often the group has begun to handle the event.
    async fn begun(&self, group: &str, event: Uuid) -> Result<u32, RepoError>;

    /// Forgets the receipt and the count of the group for the event, so that it is handled again with all its attempts.
    /// Nothing to forget is no error.
    async fn forget(&self, group: &str, event: Uuid) -> Result<(), RepoError>;
}

/// An event that a group gave up on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The event as it was delivered.
    pub event: Event,
    /// The group that gave up.
    pub group: String,
    /// How many times it tried.
    pub attempts: u32,
    /// Why the last try failed.
    pub reason: String,
    /// When it gave up.
    pub at: Timestamp,
}

/// Takes dead letters; for brokers that have no durable place of their own.
#[async_trait]
pub trait DeadLetterSink: Send + Sync + 'static {
    /// Stores the letter. One event is kept once for each group; the latest attempt wins.
    async fn bury(&self, letter: &DeadLetter) -> Result<(), RepoError>;
}

/// What an operator can do with dead letters. One is named by its event's id and its group.
#[async_trait]
pub trait DeadLetters: Send + Sync + 'static {
    /// Up to `limit` letters, by event id, behind `after`.
    async fn list(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<DeadLetter>, RepoError>;

    /// The letters of one event, one for each group that gave up on it.
    async fn find(&self, event: Uuid) -> Result<Vec<DeadLetter>, RepoError>;

    /// Publishes the event again, with the same id and trace, and removes its letters. False when there is none. A group
    /// that gave up has a receipt of the event: see [`Inbox::forget`].
    async fn replay(&self, event: Uuid, now: Timestamp) -> Result<bool, RepoError>;

    /// Removes the letters of an event for good. False when there is none.
    async fn discard(&self, event: Uuid) -> Result<bool, RepoError>;
}
