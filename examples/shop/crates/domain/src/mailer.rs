//! The queue `mailer`: tasks that run later, which `queues/mailer.yaml` describes.

use kennel_core::codec::Json;
use kennel_core::{EventType, Failure, TaskQueue as Tasks};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The topic of the tasks.
pub const TOPIC: &str = "shop.mailer";

/// Adds tasks to the queue. With a broker that is a server, each runs at least once after it was added, also if the process ends
/// before. With `BROKER=memory`, one runs only if the process that publishes it runs the queue; otherwise it is lost.
#[derive(Clone)]
pub struct MailerQueue(pub Tasks);

impl MailerQueue {
    /// Adds a task `send-receipt`, and returns its id.
    pub async fn send_receipt(&self, task: &SendReceiptTask) -> Result<Uuid, Failure> {
        self.0.add(task).await
    }

    /// Adds a task `clean-up`, and returns its id.
    pub async fn clean_up(&self, task: &CleanUpTask) -> Result<Uuid, Failure> {
        self.0.add(task).await
    }
}

/// Sends the receipt of an order to its customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SendReceiptTask {
    /// The field `order_id`.
    pub order_id: String,
    /// The field `address`.
    pub address: String,
    /// The field `cents`.
    pub cents: i64,
    /// The field `lines`.
    pub lines: Vec<String>,
}

impl EventType for SendReceiptTask {
    const NAME: &'static str = "shop.mailer.send-receipt";
    const TOPIC: &'static str = TOPIC;

    type Codec = Json;

    fn key(&self) -> String {
        self.order_id.clone()
    }
}

/// The task `clean-up`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CleanUpTask {}

impl EventType for CleanUpTask {
    const NAME: &'static str = "shop.mailer.clean-up";
    const TOPIC: &'static str = TOPIC;

    type Codec = Json;

    /// Without a key, tasks run in any order.
    fn key(&self) -> String {
        String::new()
    }
}
