//! The consumer `«name»`.

use async_trait::async_trait;
use kennel_core::{CodecError, Event, EventFilter, EventType as _, Receipt};
use kennel_outbox::{Handled, Handler, HandlerError};
use «ident»_domain::{NoteCreated, NoteService};

/// Handles [`NoteCreated`]. An event is delivered at least once: the effect must be idempotent, or be stored together with
/// the receipt.
pub struct «Name»Consumer(pub NoteService);

#[async_trait]
impl Handler for «Name»Consumer {
    fn filter(&self) -> EventFilter {
        EventFilter::names([NoteCreated::NAME])
    }

    async fn handle(&self, event: &Event, _receipt: &Receipt) -> Result<Handled, HandlerError> {
        let decoded = event.decode::<NoteCreated>().map_err(|error: CodecError| HandlerError::Permanent(error.into()))?;
        let Some(created) = decoded else { return Ok(Handled::Done) };
        let exists = self.0.get(created.id).await.is_ok();
        tracing::info!(note.id = %created.id, exists, "note created");
        Ok(Handled::Done)
    }
}
