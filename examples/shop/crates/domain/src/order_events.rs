//! The producer `order-events`.

use std::sync::Arc;

use kennel_core::{Clock, ErrorKind, Event, EventType, Failure, IdSource, Publisher, TraceContext, Validate, contract};
use shop_contracts::messages;

use crate::SOURCE;

/// Publishes events directly: they are not in the transaction of a change. An event that has to be published if, and only if, a
/// change is stored, is given to the repository instead.
#[derive(Clone)]
pub struct OrderEventsProducer {
    publisher: Arc<dyn Publisher>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    trace: fn() -> Option<TraceContext>,
}

impl OrderEventsProducer {
    /// Creates a producer. `trace` returns the trace context of the current request, which its events propagate.
    pub fn new(
        publisher: Arc<dyn Publisher>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        trace: fn() -> Option<TraceContext>,
    ) -> Self {
        Self { publisher, clock, ids, trace }
    }

    /// Publishes `orders.paid`. Returns after the broker has stored it.
    pub async fn order_paid(&self, data: &messages::order_paid::OrderPaid) -> Result<(), Failure> {
        self.publish(data).await
    }

    async fn publish<E: EventType + Validate + Sync>(&self, data: &E) -> Result<(), Failure> {
        let event =
            Event { trace: (self.trace)(), ..contract::event(self.ids.next(), SOURCE, self.clock.now(), data)? };
        self.publisher.publish(&[event]).await.map_err(|error| Failure::new(ErrorKind::Unavailable, error))
    }
}
