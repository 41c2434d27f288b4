//! Commits the offsets that a member has settled, one commit at a time.
//!
//! When a connection breaks, the driver resends the pending commit by itself, and sends later ones meanwhile. The old
//! offset can then arrive last and overwrite a newer one. Hence no commit starts before the previous one has ended, and
//! an offset counts as committed only after the cluster confirmed it.
//!
//! Commits are synchronous, in a separate thread: one can take as long as the connection is broken, and the driver does
//! not report the end of an asynchronous one (rust-rdkafka issue 856).
//!
//! Offsets must not be committed to a topic that replaced another of the same name: the events of the new topic before
//! these offsets would never be delivered. With a topic, the cluster deletes the committed offsets of its groups. So
//! before each commit, the member checks that the previous one still exists. Without a response nothing is committed;
//! the next commit checks again.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::TOPICS_REFRESH;
use super::delivery_buffer::DeliveryBuffer;
use super::error::{TopicRemoved, is_topic_removed, is_transient};
use super::offsets::unread;
use super::window::{PartitionId, Window};

/// Time limit for the last commits of a member that loses partitions. After a broken connection, the driver was seen to
/// take three seconds to resend a commit.
const FINISH_TIMEOUT: Duration = Duration::from_secs(8);
/// Delay before a failed last commit is retried.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// Time limit of reading committed offsets.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Result of a commit.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum CommitResult {
    /// It succeeded, or a retry would not help.
    #[default]
    Final,
    /// It failed, and a retry may help.
    Transient,
}

#[derive(Default)]
struct CommitState {
    is_served: bool,
    is_requested: bool,
    is_under_way: bool,
    last: CommitResult,
}

/// See the [module](self).
#[derive(Default)]
pub(super) struct Commits {
    state: Mutex<CommitState>,
    changed: Condvar,
}

/// Ends [`Commits::serve`] when it is dropped.
pub(super) struct CommitGuard<'a>(&'a Commits);

impl Commits {
    fn lock(&self) -> MutexGuard<'_, CommitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces a thread that runs [`Commits::serve`] until the guard is dropped.
    pub(super) fn open(&self) -> CommitGuard<'_> {
        *self.lock() = CommitState { is_served: true, ..CommitState::default() };
        CommitGuard(self)
    }

    /// Requests a commit of everything that is settled when the pending commit has ended.
    pub(super) fn request(&self) {
        self.lock().is_requested = true;
        self.changed.notify_all();
    }

    /// Commits everything that is settled and waits for it, up to [`FINISH_TIMEOUT`].
    pub(super) fn finish(&self, buffer: &DeliveryBuffer) {
        let began = Instant::now();
        while self.attempt(FINISH_TIMEOUT.saturating_sub(began.elapsed())) && began.elapsed() < FINISH_TIMEOUT {
            thread::sleep(RETRY_INTERVAL);
        }
        let partitions = buffer.with_window(|window| window.uncommitted());
        if partitions > 0 {
            tracing::warn!(
                group = buffer.group_id,
                partitions,
                "settled events are not committed and can be delivered again"
            );
        }
    }

    /// Commits everything that is settled and waits up to `timeout`; returns whether a retry may help.
    fn attempt(&self, timeout: Duration) -> bool {
        self.request();
        let is_open = |state: &mut CommitState| state.is_served && (state.is_requested || state.is_under_way);
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, is_open);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_served && state.last == CommitResult::Transient
    }

    /// Commits the settled offsets of `buffer` on request, until the guard is dropped. Periodically checks that the
    /// topics are still the same, which can block as long.
    pub(super) fn serve<C: ConsumerContext>(&self, buffer: &DeliveryBuffer, consumer: &BaseConsumer<C>) {
        let mut failed_before = false;
        let mut checked = Instant::now();
        while self.begin() {
            if checked.elapsed() >= TOPICS_REFRESH {
                checked = Instant::now();
                check_topics(buffer, consumer);
            }
            let commits = buffer.with_window(Window::begin_commit);
            let outcome = if commits.is_empty() { Ok(()) } else { commit(buffer, consumer, &commits) };
            buffer.with_window(|window| window.end_commit(outcome.is_ok()));
            {
                let mut state = self.lock();
                state.is_under_way = false;
                state.last = if outcome.as_ref().is_err_and(is_transient) {
                    CommitResult::Transient
                } else {
                    CommitResult::Final
                };
            }
            self.changed.notify_all();
            let (group, has_failed) = (&buffer.group_id, outcome.is_err());
            match outcome {
                Err(error) if !failed_before => {
                    tracing::warn!(error = &error as &dyn std::error::Error, group, "cannot commit offsets");
                }
                Ok(()) if failed_before => tracing::info!(group, "offsets are committed again"),
                _ => {}
            }
            failed_before = has_failed;
        }
    }

    /// Waits for a request, which is in progress from then on. Returns false when the guard is dropped.
    fn begin(&self) -> bool {
        let idle = |state: &mut CommitState| state.is_served && !state.is_requested;
        let mut state = self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        state.is_under_way = state.is_served;
        state.is_requested = false;
        state.is_served
    }
}

impl Drop for CommitGuard<'_> {
    fn drop(&mut self) {
        self.0.lock().is_served = false;
        self.0.changed.notify_all();
    }
}

fn check_topics<C: ConsumerContext>(buffer: &DeliveryBuffer, consumer: &BaseConsumer<C>) {
    let positions = buffer.with_window(|window| window.positions());
    match unread(consumer, positions) {
        Ok(None) => buffer.fail(TopicRemoved),
        Err(error) if is_topic_removed(&error) => buffer.fail(TopicRemoved),
        // The cluster does not respond, or the partition has no leader.
        Ok(Some(_)) | Err(_) => {}
    }
}

fn commit<C: ConsumerContext>(
    buffer: &DeliveryBuffer,
    consumer: &BaseConsumer<C>,
    commits: &[(PartitionId, i64)],
) -> KafkaResult<()> {
    let mut offsets = TopicPartitionList::with_capacity(commits.len());
    for (id, offset) in commits {
        offsets.add_partition_offset(&id.topic, id.number, Offset::Offset(*offset))?;
    }
    let known: Vec<_> =
        buffer.with_window(|window| commits.iter().map(|(id, _)| id).filter(|id| window.has_committed(id)).collect());
    let committed = match are_deleted(consumer, &known) {
        Ok(true) => {
            buffer.fail(TopicRemoved);
            return Ok(());
        }
        Ok(false) => consumer.commit(&offsets, CommitMode::Sync),
        Err(error) => Err(error),
    };
    // Do not retry: a new topic of that name would accept the offset.
    if committed.as_ref().is_err_and(is_topic_removed) {
        buffer.fail(TopicRemoved);
    }
    committed
}

/// Returns whether a committed offset of one of these partitions no longer exists.
fn are_deleted<C: ConsumerContext>(consumer: &BaseConsumer<C>, ids: &[&PartitionId]) -> KafkaResult<bool> {
    if ids.is_empty() {
        return Ok(false);
    }
    let mut request = TopicPartitionList::with_capacity(ids.len());
    for id in ids {
        request.add_partition(&id.topic, id.number);
    }
    let found = consumer.committed_offsets(request, REQUEST_TIMEOUT)?;
    for id in found.elements() {
        id.error()?;
    }
    Ok(found.elements().iter().any(|id| !matches!(id.offset(), Offset::Offset(_))))
}
