//! The consumer `receipts`.

use async_trait::async_trait;
use kennel_core::{Event, EventFilter, EventType as _, Receipt, contract};
use kennel_outbox::{Handled, Handler, HandlerError};
use shop_contracts::messages::order_paid::OrderPaid;
use shop_domain::ItemService;

/// Handles the events of the topic. An event is delivered at least once: the effect must be idempotent, or be stored together
/// with the receipt. One whose data its schema does not allow becomes a dead letter.
pub struct ReceiptsConsumer(pub ItemService);

impl ReceiptsConsumer {
    /// Handles `orders.paid`.
    async fn order_paid(&self, data: &OrderPaid) -> Result<Handled, HandlerError> {
        let newest = self.0.list(None, kennel_core::PageSize::default()).await;
        tracing::info!(event = OrderPaid::NAME, key = data.key(), available = newest.is_ok(), "event received");
        Ok(Handled::Done)
    }
}

#[async_trait]
impl Handler for ReceiptsConsumer {
    fn filter(&self) -> EventFilter {
        EventFilter::names([OrderPaid::NAME])
    }

    async fn handle(&self, event: &Event, _receipt: &Receipt) -> Result<Handled, HandlerError> {
        if let Some(data) = contract::read_event::<OrderPaid>(event).map_err(HandlerError::Permanent)? {
            return self.order_paid(&data).await;
        }
        Ok(Handled::Done)
    }
}
