//! Commits what a member has settled, one commit at a time.
//!
//! When a connection breaks, the driver sends the commit that was under way again by itself, and sends later ones
//! meanwhile. The old offset can so arrive last and undo a newer one that had succeeded. Hence no commit begins before
//! the one under way has ended, and an offset counts as committed only when the cluster has said so.
//!
//! Commits are synchronous, in a thread of their own: one can take as long as the connection is broken, and the driver
//! does not report the end of an asynchronous one (rust-rdkafka issue 856).
//!
//! Offsets of a topic that another of its name has replaced must not be committed: what the new topic has before them
//! would never be delivered. With a topic, the cluster removes what groups have committed of it, so each commit is
//! preceded by the question whether the one before is still there. Without an answer nothing is committed; the next
//! commit asks again.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::TOPICS_REFRESH;
use super::error::{Removed, is_passing, is_removed};
use super::offsets::is_replaced;
use super::post::Post;
use super::window::{Part, Window};

/// How long a member that gives partitions up waits for the end of its commits. When its connection has broken, the
/// driver was seen to take three seconds until it sends a commit again.
const PATIENCE: Duration = Duration::from_secs(8);
/// Before a member that gives partitions up tries a commit again that failed.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the cluster may take to answer what is committed.
const ANSWER: Duration = Duration::from_secs(2);

/// How a commit has ended.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum End {
    /// It succeeded, or trying again would not help.
    #[default]
    Final,
    /// It failed, and trying again may help.
    Passing,
}

#[derive(Default)]
struct State {
    is_served: bool,
    is_wanted: bool,
    is_under_way: bool,
    last: End,
}

/// See the [module](self).
#[derive(Default)]
pub(super) struct Commits {
    state: Mutex<State>,
    changed: Condvar,
}

/// Ends the serving when it is dropped.
pub(super) struct Serving<'a>(&'a Commits);

impl Commits {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, until the answer is dropped, a thread is going to [`Commits::serve`].
    pub(super) fn open(&self) -> Serving<'_> {
        *self.lock() = State { is_served: true, ..State::default() };
        Serving(self)
    }

    /// Has everything committed that is settled by the time that the commit under way has ended.
    pub(super) fn want(&self) {
        self.lock().is_wanted = true;
        self.changed.notify_all();
    }

    /// Has everything committed that is settled, and waits for it, though not for ever.
    pub(super) fn finish(&self, post: &Post) {
        let began = Instant::now();
        while self.attempt(PATIENCE.saturating_sub(began.elapsed())) && began.elapsed() < PATIENCE {
            thread::sleep(PAUSE);
        }
        let partitions = post.with_window(|window| window.uncommitted());
        if partitions > 0 {
            tracing::warn!(group = post.group_id, partitions, "settled events are not committed and can come again");
        }
    }

    /// Has everything committed that is settled, and waits that long for it; whether another attempt may help.
    fn attempt(&self, patience: Duration) -> bool {
        self.want();
        let is_open = |state: &mut State| state.is_served && (state.is_wanted || state.is_under_way);
        let waited = self.changed.wait_timeout_while(self.lock(), patience, is_open);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_served && state.last == End::Passing
    }

    /// Commits what `post` has whenever it is wanted, until the serving ends. Looks now and then whether the topics are
    /// still the ones that were read, which can take as long.
    pub(super) fn serve<C: ConsumerContext>(&self, post: &Post, consumer: &BaseConsumer<C>) {
        let mut failed_before = false;
        let mut looked = Instant::now();
        while self.begin() {
            if looked.elapsed() >= TOPICS_REFRESH {
                looked = Instant::now();
                look(post, consumer);
            }
            let commits = post.with_window(Window::begin_commit);
            let outcome = if commits.is_empty() { Ok(()) } else { commit(post, consumer, &commits) };
            post.with_window(|window| window.end_commit(outcome.is_ok()));
            {
                let mut state = self.lock();
                state.is_under_way = false;
                state.last = if outcome.as_ref().is_err_and(is_passing) { End::Passing } else { End::Final };
            }
            self.changed.notify_all();
            let (group, has_failed) = (&post.group_id, outcome.is_err());
            match outcome {
                Err(error) if !failed_before => {
                    tracing::warn!(error = &error as &dyn std::error::Error, group, "offsets are not committed");
                }
                Ok(()) if failed_before => tracing::info!(group, "offsets are committed again"),
                _ => {}
            }
            failed_before = has_failed;
        }
    }

    /// Waits until a commit is wanted, which is under way from then on. False when there is to be none any more.
    fn begin(&self) -> bool {
        let idle = |state: &mut State| state.is_served && !state.is_wanted;
        let mut state = self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        state.is_under_way = state.is_served;
        state.is_wanted = false;
        state.is_served
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.0.lock().is_served = false;
        self.0.changed.notify_all();
    }
}

fn look<C: ConsumerContext>(post: &Post, consumer: &BaseConsumer<C>) {
    let positions = post.with_window(|window| window.positions());
    match is_replaced(consumer, &positions) {
        Ok(true) => post.fail(Removed),
        Err(error) if is_removed(&error) => post.fail(Removed),
        // The cluster does not answer, or the partition has no leader now.
        Ok(false) | Err(_) => {}
    }
}

fn commit<C: ConsumerContext>(post: &Post, consumer: &BaseConsumer<C>, commits: &[(Part, i64)]) -> KafkaResult<()> {
    let mut offsets = TopicPartitionList::with_capacity(commits.len());
    for (part, offset) in commits {
        offsets.add_partition_offset(&part.topic, part.number, Offset::Offset(*offset))?;
    }
    let known: Vec<_> = post
        .with_window(|window| commits.iter().map(|(part, _)| part).filter(|part| window.has_committed(part)).collect());
    let committed = match are_gone(consumer, &known) {
        Ok(true) => {
            post.fail(Removed);
            return Ok(());
        }
        Ok(false) => consumer.commit(&offsets, CommitMode::Sync),
        Err(error) => Err(error),
    };
    // Not again: the next topic of that name would take it.
    if committed.as_ref().is_err_and(is_removed) {
        post.fail(Removed);
    }
    committed
}

/// Whether the cluster has nothing committed of one of these any more, of which something was.
fn are_gone<C: ConsumerContext>(consumer: &BaseConsumer<C>, parts: &[&Part]) -> KafkaResult<bool> {
    if parts.is_empty() {
        return Ok(false);
    }
    let mut asked = TopicPartitionList::with_capacity(parts.len());
    for part in parts {
        asked.add_partition(&part.topic, part.number);
    }
    let found = consumer.committed_offsets(asked, ANSWER)?;
    for part in found.elements() {
        part.error()?;
    }
    Ok(found.elements().iter().any(|part| !matches!(part.offset(), Offset::Offset(_))))
}
