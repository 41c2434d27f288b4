//! Tasks that are run later, in another process or after a restart.

use std::sync::Arc;

use uuid::Uuid;

use crate::{Clock, ErrorKind, Event, EventType, Failure, IdSource, Outbox, TraceContext};

/// Adds tasks to the outbox. A task is an event: the relay publishes it, and a consumer group runs it, at least once, with
/// retries, and as a dead letter in the end. With a store, no broker needs to be reachable to add one.
///
/// A broker in the process delivers only to consumers of the process that publishes. Where several processes share a store, one of
/// them publishes for all: a task whose consumer is in another one is never run.
#[derive(Clone)]
pub struct TaskQueue {
    outbox: Arc<dyn Outbox>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    source: &'static str,
    trace: fn() -> Option<TraceContext>,
}

impl TaskQueue {
    /// A queue of tasks of `source`, such as `/shop`. `trace` returns the trace context of the current request, which the
    /// tasks propagate.
    pub fn new(
        outbox: Arc<dyn Outbox>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        source: &'static str,
        trace: fn() -> Option<TraceContext>,
    ) -> Self {
        Self { outbox, clock, ids, source, trace }
    }

    /// Adds a task, which is durable when this returns, and returns its id. Tasks with one key run in order; one with an
    /// empty key runs in any order.
    ///
    /// After an error the task may be stored, for example if the connection was lost before the response. A repeated call adds
    /// another task with another id, so both may run.
    ///
    /// # Errors
    /// `Internal` if the task cannot be encoded; otherwise the error of the store.
    pub async fn add<T: EventType>(&self, task: &T) -> Result<Uuid, Failure> {
        let id = self.ids.next();
        let event = Event::new(id, self.source, self.clock.now(), task);
        let mut event = event.map_err(|error| Failure::new(ErrorKind::Internal, error))?;
        event.trace = (self.trace)();
        if event.key.is_empty() {
            event.key = id.to_string();
        }
        self.outbox.append(&[event]).await.map_err(|error| Failure::new(error.kind(), error))?;
        Ok(id)
    }
}
