//! Commits what a member has settled, one commit at a time.
//!
//! When a connection breaks, the driver sends the commit that was under way again by itself, and sends later ones
//! meanwhile. The old offset can so arrive last and undo a newer one that had succeeded. Hence no commit begins before
//! the one under way has ended, and an offset counts as committed only when the cluster has said so.
//!
//! Commits are synchronous, in a thread of their own: one can take as long as the connection is broken, and the driver
//! does not report the end of an asynchronous one (rust-rdkafka issue 856).

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::post::Post;
use super::window::{Part, Window};

/// How long a member that gives partitions up waits for the end of its commits.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Default)]
struct State {
    is_served: bool,
    is_wanted: bool,
    is_under_way: bool,
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
        self.want();
        let is_open = |state: &mut State| state.is_served && (state.is_wanted || state.is_under_way);
        let waited = self.changed.wait_timeout_while(self.lock(), PATIENCE, is_open);
        drop(waited);
        let partitions = post.with_window(|window| window.uncommitted());
        if partitions > 0 {
            tracing::warn!(group = post.group_id, partitions, "settled events are not committed and can come again");
        }
    }

    /// Commits what `post` has whenever it is wanted, until the serving ends.
    pub(super) fn serve<C: ConsumerContext>(&self, post: &Post, consumer: &BaseConsumer<C>) {
        let mut failed_before = false;
        while self.begin() {
            let commits = post.with_window(Window::begin_commit);
            let outcome = if commits.is_empty() { Ok(()) } else { commit(consumer, &commits) };
            post.with_window(|window| window.end_commit(outcome.is_ok()));
            self.lock().is_under_way = false;
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

fn commit<C: ConsumerContext>(consumer: &BaseConsumer<C>, commits: &[(Part, i64)]) -> KafkaResult<()> {
    let mut offsets = TopicPartitionList::with_capacity(commits.len());
    for (part, offset) in commits {
        offsets.add_partition_offset(&part.topic, part.number, Offset::Offset(*offset))?;
    }
    consumer.commit(&offsets, CommitMode::Sync)
}
