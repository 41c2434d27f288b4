//! The queue `«name»`: tasks that run later, which `«path»` describes.

use kennel_core::codec::Json;
use kennel_core::{EventType, Failure, TaskQueue as Tasks};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The topic of the tasks.
pub const TOPIC: &str = "«project».«name»";

/// Adds tasks to the queue. With a broker that is a server, each runs at least once after it was added, also if the process ends
/// before. With `BROKER=memory`, one runs only if the process that publishes it runs the queue; otherwise it is lost.
#[derive(Clone)]
pub struct «Name»Queue(pub Tasks);

impl «Name»Queue {
//% for task in tasks
    /// Adds a task `«task.name»`, and returns its id.
    pub async fn «task.fn»(&self, task: &«task.ty») -> Result<Uuid, Failure> {
        self.0.add(task).await
    }
//% if not loop.last

//% endif
//% endfor
}
//% for task in tasks

«task.doc»
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct «task.ty»«% if task.fields %» {
//% for field in task.fields
    /// The field `«field.name»`.
    pub «field.ident»: «field.ty»,
//% endfor
}«% else %» {}«% endif %»

impl EventType for «task.ty» {
    const NAME: &'static str = "«project».«name».«task.name»";
    const TOPIC: &'static str = TOPIC;

    type Codec = Json;

//% if task.key
    fn key(&self) -> String {
        «task.key»
    }
//% else
    /// Without a key, tasks run in any order.
    fn key(&self) -> String {
        String::new()
    }
//% endif
}
//% endfor
