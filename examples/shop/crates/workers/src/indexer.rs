//! The consumer `indexer`.

use async_trait::async_trait;
use kennel_core::{CodecError, Event, EventFilter, EventType as _, Receipt};
use kennel_outbox::{Handled, Handler, HandlerError};
use shop_domain::{ItemCreated, ItemService};

/// Handles [`ItemCreated`]. An event is delivered at least once: the effect must be idempotent, or be stored together with
/// the receipt.
pub struct IndexerConsumer(pub ItemService);

#[async_trait]
impl Handler for IndexerConsumer {
    fn filter(&self) -> EventFilter {
        EventFilter::names([ItemCreated::NAME])
    }

    async fn handle(&self, event: &Event, _receipt: &Receipt) -> Result<Handled, HandlerError> {
        let decoded =
            event.decode::<ItemCreated>().map_err(|error: CodecError| HandlerError::Permanent(error.into()))?;
        let Some(created) = decoded else { return Ok(Handled::Done) };
        let exists = self.0.get(created.id).await.is_ok();
        tracing::info!(item.id = %created.id, exists, "item created");
        Ok(Handled::Done)
    }
}
