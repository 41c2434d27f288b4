//! The worker of the queue `«name»`.

use async_trait::async_trait;
use kennel_core::{CodecError, Event, EventFilter, EventType, Receipt};
use kennel_outbox::{Handled, Handler, HandlerError};
use «ident»_domain::NoteService;
use «ident»_domain::«module»::{«% for task in tasks %»«task.ty», «% endfor %»};

/// Runs the tasks, each at least once: the effect must be idempotent, or be stored together with the receipt. A task that
/// fails runs again later, and becomes a dead letter in the end.
pub struct «Name»Worker(pub NoteService);

impl «Name»Worker {
//% for task in tasks
    /// Runs `«task.name»`.
    async fn «task.fn»(&self, task: &«task.ty») -> Result<Handled, HandlerError> {
        let newest = self.0.list(None, kennel_core::PageSize::default()).await;
        tracing::info!(task = «task.ty»::NAME, key = task.key(), available = newest.is_ok(), "task was run");
        Ok(Handled::Done)
    }
//% if not loop.last

//% endif
//% endfor
}

/// The task in an event; none if the event has another one.
fn read<T: EventType>(event: &Event) -> Result<Option<T>, HandlerError> {
    event.decode::<T>().map_err(|error: CodecError| HandlerError::Permanent(error.into()))
}

#[async_trait]
impl Handler for «Name»Worker {
    fn filter(&self) -> EventFilter {
        EventFilter::names([«% for task in tasks %»«task.ty»::NAME, «% endfor %»])
    }

    async fn handle(&self, event: &Event, _receipt: &Receipt) -> Result<Handled, HandlerError> {
//% for task in tasks
        if let Some(task) = read::<«task.ty»>(event)? {
            return self.«task.fn»(&task).await;
        }
//% endfor
        Ok(Handled::Done)
    }
}
