//! A producer and a consumer of an event whose contract is a JSON Schema.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kennel_core::broker::BrokerError;
use kennel_core::{ErrorKind, Event, ManualClock, Publisher, Timestamp, UuidV7, contract};
use schemars::JsonSchema as _;
use serde_json::json;
use shop_contracts::messages::order_paid::{Line, OrderPaid, OrderPaidMethod};
use shop_domain::order_events::OrderEventsProducer;
use uuid::Uuid;

/// A broker that stores what is published.
#[derive(Default)]
struct Published(Mutex<Vec<Event>>);

#[async_trait]
impl Publisher for Published {
    async fn publish(&self, batch: &[Event]) -> Result<(), BrokerError> {
        self.0.lock().unwrap().extend_from_slice(batch);
        Ok(())
    }
}

fn paid(cents: i64) -> OrderPaid {
    let lines = Some(vec![Line { sku: "PEN-1".to_owned() }]);
    OrderPaid { order_id: Uuid::from_u128(7), cents, method: OrderPaidMethod::Card, lines }
}

#[tokio::test]
async fn an_event_arrives_as_it_was_published() {
    let sent = Arc::new(Published::default());
    let publisher: Arc<dyn Publisher> = Arc::<Published>::clone(&sent);
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0).unwrap()));
    let producer = OrderEventsProducer::new(publisher, clock, Arc::new(UuidV7), || None);
    producer.order_paid(&paid(150)).await.unwrap();
    let event = sent.0.lock().unwrap().remove(0);
    assert_eq!(
        (event.name.as_str(), event.topic.as_str(), &event.key),
        ("orders.paid", "shop.orders", &paid(1).order_id.to_string())
    );
    let expected = json!({
        "order_id": "00000000-0000-0000-0000-000000000007", "cents": 150, "method": "card", "lines": [{ "sku": "PEN-1" }],
    });
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&event.data).unwrap(), expected);
    assert_eq!(contract::read_event::<OrderPaid>(&event).unwrap(), Some(paid(150)));
}

#[tokio::test]
async fn data_that_the_schema_does_not_allow_is_neither_published_nor_handled() {
    let sent = Arc::new(Published::default());
    let publisher: Arc<dyn Publisher> = Arc::<Published>::clone(&sent);
    let producer = OrderEventsProducer::new(
        publisher,
        Arc::new(ManualClock::new(Timestamp::from_millis(0).unwrap())),
        Arc::new(UuidV7),
        || None,
    );
    let failure = producer.order_paid(&paid(0)).await.unwrap_err();
    assert_eq!(failure.kind(), ErrorKind::Internal);
    assert_eq!(failure.to_string(), "orders.paid cannot be published: cents: must be at least 1");
    assert_eq!(sent.0.lock().unwrap().len(), 0);

    producer.order_paid(&paid(1)).await.unwrap();
    let mut event = sent.0.lock().unwrap().remove(0);
    for data in
        [r#"{"order_id":"7"}"#, r#"{"order_id":"00000000-0000-0000-0000-000000000007","cents":0,"method":"card"}"#]
    {
        event.data = data.into();
        contract::read_event::<OrderPaid>(&event).unwrap_err();
    }
    event.name = "orders.sent".to_owned();
    assert_eq!(contract::read_event::<OrderPaid>(&event).unwrap(), None);
}

/// What the contract of the application shows is the schema of the user.
#[test]
fn the_contract_has_the_schema_as_it_is() {
    let schema = OrderPaid::json_schema(&mut schemars::SchemaGenerator::default());
    let file = include_str!("../../../shop/events/order-paid.schema.json");
    assert_eq!(schema.to_value(), serde_json::from_str::<serde_json::Value>(file).unwrap());
}
