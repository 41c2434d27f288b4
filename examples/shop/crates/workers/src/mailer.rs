//! The worker of the queue `mailer`.

use async_trait::async_trait;
use kennel_core::{CodecError, Event, EventFilter, EventType, Receipt};
use kennel_outbox::{Handled, Handler, HandlerError};
use shop_domain::ItemService;
use shop_domain::mailer::{CleanUpTask, SendReceiptTask};

/// Runs the tasks, each at least once: the effect must be idempotent, or be stored together with the receipt. A task that
/// fails runs again later, and becomes a dead letter in the end.
pub struct MailerWorker(pub ItemService);

impl MailerWorker {
    /// Runs `send-receipt`.
    async fn send_receipt(&self, task: &SendReceiptTask) -> Result<Handled, HandlerError> {
        let newest = self.0.list(None, kennel_core::PageSize::default()).await;
        tracing::info!(task = SendReceiptTask::NAME, key = task.key(), available = newest.is_ok(), "task was run");
        Ok(Handled::Done)
    }

    /// Runs `clean-up`.
    async fn clean_up(&self, task: &CleanUpTask) -> Result<Handled, HandlerError> {
        let newest = self.0.list(None, kennel_core::PageSize::default()).await;
        tracing::info!(task = CleanUpTask::NAME, key = task.key(), available = newest.is_ok(), "task was run");
        Ok(Handled::Done)
    }
}

/// The task in an event; none if the event has another one.
fn read<T: EventType>(event: &Event) -> Result<Option<T>, HandlerError> {
    event.decode::<T>().map_err(|error: CodecError| HandlerError::Permanent(error.into()))
}

#[async_trait]
impl Handler for MailerWorker {
    fn filter(&self) -> EventFilter {
        EventFilter::names([SendReceiptTask::NAME, CleanUpTask::NAME])
    }

    async fn handle(&self, event: &Event, _receipt: &Receipt) -> Result<Handled, HandlerError> {
        if let Some(task) = read::<SendReceiptTask>(event)? {
            return self.send_receipt(&task).await;
        }
        if let Some(task) = read::<CleanUpTask>(event)? {
            return self.clean_up(&task).await;
        }
        Ok(Handled::Done)
    }
}
