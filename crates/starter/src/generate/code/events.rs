//! The data of events that a JSON Schema describes.

use super::types::{patterns, types};
use crate::contract::{Api, TypedEvent};

/// The module of a type of event. `document` is the file with the schema, next to it.
pub(crate) fn module(event: &TypedEvent, document: &str) -> String {
    let schema = &event.schema;
    let data = schema.types.first().map(|data| data.name.as_str()).unwrap_or_default();
    let api = Api {
        prefix: String::new(),
        types: schema.types.clone(),
        operations: Vec::new(),
        schemes: Vec::new(),
        document: String::new(),
    };
    let body = [patterns(&api), types(&api)].concat();
    let core =
        if body.contains("&mut Violations") { "{EventType, Validate, Violations}" } else { "{EventType, Validate}" };
    let regex =
        if body.contains("LazyLock<") { ("use std::sync::LazyLock;\n", "use regex::Regex;\n") } else { ("", "") };
    format!(
        "//! The data of the event `{}`, which `{}` describes.\n\nuse std::borrow::Cow;\n{}\nuse kennel_core::codec::Json;\n\
         use kennel_core::{core};\n{}use schemars::{{JsonSchema, Schema, SchemaGenerator}};\nuse serde::{{Deserialize, Serialize}};\n\n\
         {body}impl EventType for {data} {{\nconst NAME: &'static str = {:?};\nconst TOPIC: &'static str = {:?};\n\n\
         type Codec = Json;\n\nfn key(&self) -> String {{\n{}\n}}\n}}\n\n\
         /// The contract of the event has the schema as it is.\nimpl JsonSchema for {data} {{\n\
         fn schema_name() -> Cow<'static, str> {{\n{data:?}.into()\n}}\n\n\
         fn json_schema(_: &mut SchemaGenerator) -> Schema {{\n\
         serde_json::from_str(include_str!({document:?})).unwrap_or_default()\n}}\n}}\n",
        event.name, schema.path, regex.0, regex.1, event.name, event.topic, schema.key
    )
}
