//! Group commit: concurrent operations as one transaction.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::{BoxError, RepoError};
use kennel_telemetry::{as_i64, is_sampled, propagation};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::RecvError;
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, Span};

use super::BatchLimits;
use super::queue::{Admission, Queue, QueueLimits};
use crate::error::SharedError;
use crate::metrics::BatchMetrics;

/// What a batch of operations does.
#[async_trait]
pub trait Group: Send + Sync + 'static {
    /// An operation.
    type Operation: Send + Sync + 'static;
    /// The result of an operation.
    type Output: Send + 'static;

    /// Executes operations that arrived in this order.
    ///
    /// - Returns the results of the first ones, at least one. The others do not fit together with them, and are executed
    ///   next.
    /// - After an error other than [`RepoError::Unavailable`] nothing is stored, and several operations are executed
    ///   again in halves: one of them may have caused it.
    async fn execute(&self, operations: &[Self::Operation]) -> Result<Vec<Result<Self::Output, RepoError>>, RepoError>;

    /// The span of a batch with several callers, which is linked to their spans. It should have the field
    /// `db.operation.batch.size`, and so should the spans of callers.
    fn span(&self) -> Span;
}

/// Executes operations in groups while the database is busy; see [the module](super). Clones share the queue.
pub struct GroupCommit<G: Group>(Arc<Shared<G>>);

impl<G: Group> Clone for GroupCommit<G> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Shared<G: Group> {
    group: G,
    limits: BatchLimits,
    metrics: BatchMetrics,
    queue: Queue<Waiting<G>>,
}

/// An operation in the queue.
pub(super) struct Waiting<G: Group> {
    operation: G::Operation,
    caller: Caller<G::Output>,
}

/// The caller of an operation that is executed with others.
struct Caller<T> {
    reply: oneshot::Sender<Reply<T>>,
    /// Only in a trace that is recorded.
    span: Span,
    since: Instant,
}

struct Reply<T> {
    result: Result<T, RepoError>,
    batch_size: usize,
    queued: Duration,
}

impl<G: Group> GroupCommit<G> {
    /// Executes operations with `group`, within `limits`.
    pub fn new(group: G, limits: BatchLimits, metrics: BatchMetrics) -> Self {
        Self::with_queue(group, limits, metrics, Queue::new(QueueLimits::of_writes(&limits)))
    }

    pub(super) fn with_queue(group: G, limits: BatchLimits, metrics: BatchMetrics, queue: Queue<Waiting<G>>) -> Self {
        Self(Arc::new(Shared { group, limits, metrics, queue }))
    }

    /// Executes an operation, alone or with others. Fails with [`RepoError::Unavailable`] when the queue is full or the
    /// operation waits in it for too long; it is not executed then.
    ///
    /// An operation whose caller is cancelled while it waits is not executed. Later it is executed or not, as a whole.
    pub async fn run(&self, operation: G::Operation) -> Result<G::Output, RepoError> {
        let mut response = None;
        let admission = self.0.queue.admit(operation, |operation| {
            let (reply, receiver) = oneshot::channel();
            response = Some(receiver);
            let span = if is_sampled() { Span::current() } else { Span::none() };
            Waiting { operation, caller: Caller { reply, span, since: Instant::now() } }
        });
        match (admission, response) {
            (Admission::Now(operation), _) => self.run_alone(operation).await,
            (Admission::Queued(ticket), Some(response)) => self.wait(ticket, response).await,
            _ => Err(RepoError::Unavailable(BoxError::from("too many calls wait for the database"))),
        }
    }

    async fn run_alone(&self, operation: G::Operation) -> Result<G::Output, RepoError> {
        let _running = Running { shared: &self.0, calls: 1 };
        self.0.metrics.size(1);
        self.0.metrics.queued(Duration::ZERO);
        let results = self.0.group.execute(std::slice::from_ref(&operation)).await?;
        results.into_iter().next().unwrap_or_else(|| Err(unanswered()))
    }

    async fn wait(
        &self,
        ticket: u64,
        mut response: oneshot::Receiver<Reply<G::Output>>,
    ) -> Result<G::Output, RepoError> {
        let mut waiter = Waiter { shared: &self.0, ticket, queued: true };
        let replied = self.reply(ticket, &mut response).await?;
        waiter.queued = false;
        let reply = replied.map_err(|_| unanswered())?;
        self.0.metrics.queued(reply.queued);
        if is_sampled() {
            Span::current().record("db.operation.batch.size", as_i64(reply.batch_size));
        }
        reply.result
    }

    /// Waits until the batch of a call has ended. Fails when it has not started in time.
    async fn reply(
        &self,
        ticket: u64,
        response: &mut oneshot::Receiver<Reply<G::Output>>,
    ) -> Result<Result<Reply<G::Output>, RecvError>, RepoError> {
        let limits = &self.0.limits;
        let early = if self.0.queue.may_overlap() { limits.overlap_after.min(limits.wait) } else { limits.wait };
        if let Ok(replied) = timeout(early, &mut *response).await {
            return Ok(replied);
        }
        if self.0.queue.overlap() {
            run_next(Arc::clone(&self.0));
        }
        match timeout(limits.wait.saturating_sub(early), &mut *response).await {
            Ok(replied) => Ok(replied),
            Err(elapsed) if self.0.queue.remove(ticket) => Err(RepoError::Unavailable(elapsed.into())),
            // The batch runs already.
            Err(_) => Ok(response.await),
        }
    }
}

/// Leaves the queue when the caller is cancelled.
struct Waiter<'a, G: Group> {
    shared: &'a Shared<G>,
    ticket: u64,
    queued: bool,
}

impl<G: Group> Drop for Waiter<'_, G> {
    fn drop(&mut self) {
        if self.queued {
            self.shared.queue.remove(self.ticket);
        }
    }
}

/// A running operation or batch. However it ends, dropping this starts the next batch, if it is time for one.
struct Running<'a, G: Group> {
    shared: &'a Arc<Shared<G>>,
    calls: usize,
}

impl<G: Group> Drop for Running<'_, G> {
    fn drop(&mut self) {
        if self.shared.queue.end(self.calls) {
            run_next(Arc::clone(self.shared));
        }
    }
}

/// Runs the next batch in its own task.
fn run_next<G: Group>(shared: Arc<Shared<G>>) {
    // Without a runtime the process is about to end, and so are the callers.
    let Ok(runtime) = Handle::try_current() else { return };
    drop(runtime.spawn(async move {
        let batch = shared.queue.take(shared.limits.batch);
        let _running = Running { shared: &shared, calls: batch.len() };
        if !batch.is_empty() {
            shared.execute(batch).await;
        }
    }));
}

impl<G: Group> Shared<G> {
    async fn execute(&self, batch: Vec<Waiting<G>>) {
        self.metrics.size(batch.len());
        let (operations, callers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.operation, waiting.caller)).unzip();
        let span = self.span(&callers);
        let mut batch = Batch { size: callers.len(), started: Instant::now(), callers: callers.into_iter() };
        self.execute_all(&operations, &mut batch).instrument(span).await;
    }

    /// The span of a batch: a trace of its own, unless no caller's trace is recorded.
    fn span(&self, callers: &[Caller<G::Output>]) -> Span {
        if callers.iter().all(|caller| caller.span.is_disabled()) {
            return Span::none();
        }
        let span = self.group.span();
        span.record("db.operation.batch.size", as_i64(callers.len()));
        for caller in callers {
            propagation::add_link_to(&span, &caller.span);
        }
        span
    }

    async fn execute_all(&self, mut operations: &[G::Operation], batch: &mut Batch<G::Output>) {
        // The lengths of what remains, the next one last.
        let mut lengths = vec![operations.len()];
        while let Some(length) = lengths.pop() {
            match self.group.execute(&operations[..length]).await {
                Ok(results) if !results.is_empty() => {
                    let done = results.len().min(length);
                    results.into_iter().take(done).for_each(|result| batch.reply(result));
                    operations = &operations[done..];
                    lengths.extend(Some(length - done).filter(|&rest| rest > 0));
                }
                Err(error) if length > 1 && may_be_of_one(&error) => {
                    let half = length / 2;
                    lengths.extend([length - half, half]);
                }
                failed => {
                    let error = SharedError::new(failed.err().unwrap_or_else(unanswered));
                    (0..length).for_each(|_| batch.reply(Err(error.to_error())));
                    operations = &operations[length..];
                }
            }
        }
    }
}

/// The callers of a running batch that have no reply yet.
struct Batch<T> {
    size: usize,
    started: Instant,
    callers: std::vec::IntoIter<Caller<T>>,
}

impl<T> Batch<T> {
    /// Replies to the next caller, who may have been cancelled.
    fn reply(&mut self, result: Result<T, RepoError>) {
        if let Some(caller) = self.callers.next() {
            let queued = self.started.saturating_duration_since(caller.since);
            drop(caller.reply.send(Reply { result, batch_size: self.size, queued }));
        }
    }
}

/// Whether one operation of several can be the cause of an error. An unavailable database fails all of them, and does
/// not get more requests.
const fn may_be_of_one(error: &RepoError) -> bool {
    !matches!(error, RepoError::Unavailable(_))
}

fn unanswered() -> RepoError {
    RepoError::Backend(BoxError::from("the batch ended without a result"))
}
