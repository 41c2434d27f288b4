//! JSON Schemas of the data of events.

use super::reader::Reader;
use super::{Shape, Ty, TypeDef};
use crate::yaml::{self, Position, Problem};

/// A type of event.
#[derive(Debug, Clone)]
pub struct TypedEvent {
    /// The name of its set of schemas.
    pub set: String,
    /// The id of its schema.
    pub id: String,
    /// The type of the event.
    pub name: String,
    /// Its topic.
    pub topic: String,
    /// The schema.
    pub schema: EventSchema,
}

/// The schema of the data of events.
#[derive(Debug, Clone)]
pub struct EventSchema {
    /// Where it is.
    pub path: String,
    /// Its types, the data itself first.
    pub types: Vec<TypeDef>,
    /// The key as code, of a value `self`.
    pub key: String,
    /// The schema in JSON.
    pub document: String,
}

/// Reads a schema. `key` is the property by which events are ordered.
pub(super) fn read(text: &str, path: &str, id: &str, key: &str) -> Result<EventSchema, Vec<Problem>> {
    let root = yaml::parse(text)?;
    let mut reader = Reader::new(&root);
    reader.is_schema = true;
    let usage = reader.schema(&root, id);
    if let Some(schemas) = root.get("$defs") {
        for (key, node) in reader.entries(schemas, "`$defs`") {
            reader.component(key, node);
        }
    }
    let Reader { types, mut problems, .. } = reader;
    let is_object = matches!(usage.map(|usage| usage.ty), Some(Ty::Named(_)));
    let found = types.first().filter(|_| is_object).and_then(|data| self::key(data, key));
    match found {
        Some(key) if problems.is_empty() => {
            let document = format!("{:#}\n", root.json());
            Ok(EventSchema { path: path.to_owned(), types, key, document })
        }
        None if problems.is_empty() => {
            let position = Position { line: 1, column: 1 };
            let message = format!(
                "the schema must be an object with the required property `{key}`, a text, a UUID or a whole number"
            );
            Err(vec![Problem { position, message }])
        }
        _ => {
            problems.sort();
            Err(problems)
        }
    }
}

fn key(data: &TypeDef, name: &str) -> Option<String> {
    let Shape::Object { fields, .. } = &data.shape else { return None };
    let field = fields.iter().find(|field| field.name == name && field.is_required && !field.usage.is_nullable)?;
    match field.usage.ty {
        Ty::Text { .. } => Some(format!("self.{}.clone()", field.ident)),
        Ty::Uuid | Ty::Integer { .. } => Some(format!("self.{}.to_string()", field.ident)),
        _ => None,
    }
}
