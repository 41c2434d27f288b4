//! The consumer `«name»`.

use async_trait::async_trait;
use kennel_core::{Event, EventFilter, EventType as _, Receipt, contract};
use kennel_outbox::{Handled, Handler, HandlerError};
//% for event in events
use «ident»_contracts::«event.set»::«event.module»::«event.ty»;
//% endfor
use «ident»_domain::NoteService;

/// Handles the events of the topic. An event is delivered at least once: the effect must be idempotent, or be stored together
/// with the receipt. One whose data its schema does not allow becomes a dead letter.
pub struct «Name»Consumer(pub NoteService);

impl «Name»Consumer {
//% for event in events
    /// Handles `«event.name»`.
    async fn «event.fn»(&self, data: &«event.ty») -> Result<Handled, HandlerError> {
        let newest = self.0.list(None, kennel_core::PageSize::default()).await;
        tracing::info!(event = «event.ty»::NAME, key = data.key(), available = newest.is_ok(), "event received");
        Ok(Handled::Done)
    }

//% endfor
}

#[async_trait]
impl Handler for «Name»Consumer {
    fn filter(&self) -> EventFilter {
        EventFilter::names([«% for event in events %»«event.ty»::NAME, «% endfor %»])
    }

    async fn handle(&self, event: &Event, _receipt: &Receipt) -> Result<Handled, HandlerError> {
//% for event in events
        if let Some(data) = contract::read_event::<«event.ty»>(event).map_err(HandlerError::Permanent)? {
            return self.«event.fn»(&data).await;
        }
//% endfor
        Ok(Handled::Done)
    }
}
