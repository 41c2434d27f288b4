//! The documents of the user that code is generated from: OpenAPI, JSON Schema and protobuf.
//!
//! No crate reads OpenAPI with positions: `openapiv3` (only 3.0) and `oas3` (only 3.1) ignore what they do not know, or
//! keep it without its line. So documents are read as `yaml`, of which JSON is a part, into [`Api`], and
//! what no code can be generated for is a problem with its line and column.

pub mod commands;
pub mod event;
pub mod names;
mod operations;
pub mod proto;
mod reader;
mod schema;
pub mod tasks;

use std::collections::BTreeMap;

use crate::config::{Config, GrpcKind};
use crate::generate;
use crate::yaml::{self, Node, Position, Problem};
pub use commands::Command;
pub use event::TypedEvent;
pub use proto::Proto;
pub(crate) use reader::Reader;
pub use tasks::Task;

/// The documents of a configuration.
#[derive(Debug, Clone, Default)]
pub struct Contracts {
    /// The APIs in OpenAPI, by the names of their entries in `rest`.
    pub apis: BTreeMap<String, Api>,
    /// The protobuf files, by the names of their entries in `grpc`.
    pub protos: BTreeMap<String, Proto>,
    /// The types of events.
    pub events: Vec<TypedEvent>,
    /// The commands of command lines, by the names of their entries in `cli`.
    pub commands: BTreeMap<String, Vec<Command>>,
    /// The tasks of queues, by the names of their entries in `worker`.
    pub tasks: BTreeMap<String, Vec<Task>>,
}

/// Reads the documents of a configuration, given by their paths. Returns all problems, each with its document.
pub fn read(config: &Config, documents: &BTreeMap<String, String>) -> Result<Contracts, Vec<(String, Problem)>> {
    let (mut contracts, mut problems) = (Contracts::default(), Vec::new());
    for (rest, path) in config.rest.iter().filter_map(|rest| Some((rest, rest.path.as_ref()?))) {
        let Some(text) = documents.get(path) else {
            problems.push((path.clone(), unreadable()));
            continue;
        };
        match openapi(text) {
            Ok(api) => {
                let unsupported = generate::unsupported(&api);
                problems.extend(unsupported.into_iter().map(|problem| (path.clone(), problem)));
                contracts.apis.insert(rest.name.clone(), api);
            }
            Err(found) => problems.extend(found.into_iter().map(|problem| (path.clone(), problem))),
        }
    }
    for (grpc, path) in config.grpc.iter().filter_map(|grpc| Some((grpc, grpc.path.as_ref()?))) {
        match proto::compile(path, documents) {
            Ok(found) if grpc.generator_type == GrpcKind::ProtoClient && found.services.len() > 1 => {
                let position = Position { line: 1, column: 1 };
                let message = "the file of a client must have one service".to_owned();
                problems.push((path.clone(), Problem { position, message }));
            }
            Ok(found) => {
                contracts.protos.insert(grpc.name.clone(), found);
            }
            Err(found) => problems.extend(found),
        }
    }
    for (set, schema) in config.jsonschema.iter().flat_map(|set| set.schemas.iter().map(move |schema| (set, schema))) {
        let reference = format!("{}.{}", set.name, schema.id);
        let Some((name, topic)) = config.event_of(&reference) else { continue };
        let read = match documents.get(&schema.path) {
            Some(text) => event::read(text, &schema.path, &schema.id, &schema.key),
            None => Err(vec![unreadable()]),
        };
        match read {
            Ok(read) => contracts.events.push(TypedEvent {
                set: set.name.clone(),
                id: schema.id.clone(),
                name: name.to_owned(),
                topic: topic.to_owned(),
                schema: read,
            }),
            Err(found) => problems.extend(found.into_iter().map(|problem| (schema.path.clone(), problem))),
        }
    }
    for cli in &config.cli {
        match documents.get(&cli.path).map_or_else(|| Err(vec![unreadable()]), |text| commands::read(text)) {
            Ok(found) => {
                contracts.commands.insert(cli.name.clone(), found);
            }
            Err(found) => problems.extend(found.into_iter().map(|problem| (cli.path.clone(), problem))),
        }
    }
    for (worker, path) in config.worker.iter().filter_map(|worker| Some((worker, worker.path.as_ref()?))) {
        match documents.get(path).map_or_else(|| Err(vec![unreadable()]), |text| tasks::read(text)) {
            Ok(found) => {
                contracts.tasks.insert(worker.name.clone(), found);
            }
            Err(found) => problems.extend(found.into_iter().map(|problem| (path.clone(), problem))),
        }
    }
    if problems.is_empty() { Ok(contracts) } else { Err(problems) }
}

fn unreadable() -> Problem {
    Problem { position: Position { line: 1, column: 1 }, message: "the file cannot be read".to_owned() }
}

/// An API in OpenAPI 3.0 or 3.1.
#[derive(Debug, Clone)]
pub struct Api {
    /// What all its paths start with.
    pub prefix: String,
    /// Types, in the order in which they were read.
    pub types: Vec<TypeDef>,
    /// Operations, in the order of the document.
    pub operations: Vec<Operation>,
    /// How callers authenticate.
    pub schemes: Vec<Scheme>,
    /// The document in JSON, as OpenAPI 3.1.
    pub document: String,
}

/// A type with a name.
#[derive(Debug, Clone)]
pub struct TypeDef {
    /// Where it is in the document.
    pub position: Position,
    /// Its name in code.
    pub name: String,
    /// One line of documentation.
    pub doc: String,
    /// What it is.
    pub shape: Shape,
}

/// What a named type is.
#[derive(Debug, Clone)]
pub enum Shape {
    /// An object with these fields, and without others if it is closed.
    Object {
        /// Its fields.
        fields: Vec<Field>,
        /// Whether other fields are refused.
        is_closed: bool,
    },
    /// One of these texts, each with its name in code.
    Enum(Vec<(String, String)>),
}

/// A field of an object, or a parameter.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name in the document.
    pub name: String,
    /// Its name in code.
    pub ident: String,
    /// One line of documentation.
    pub doc: String,
    /// Its value.
    pub usage: Usage,
    /// Whether it has to be there.
    pub is_required: bool,
}

impl Field {
    /// Whether it is an `Option` because it may be absent.
    pub fn is_optional(&self) -> bool {
        !self.is_required && self.usage.default.is_none()
    }
}

/// A type where it is used.
#[derive(Debug, Clone)]
pub struct Usage {
    /// The type.
    pub ty: Ty,
    /// Whether `null` is allowed, too.
    pub is_nullable: bool,
    /// The default, as code.
    pub default: Option<String>,
}

/// A type.
#[derive(Debug, Clone, PartialEq)]
pub enum Ty {
    /// A text.
    Text {
        /// Its length in characters.
        length: Bounds<u64>,
        /// A regular expression.
        pattern: Option<String>,
    },
    /// A UUID.
    Uuid,
    /// A time.
    Time,
    /// A whole number, of 32 or 64 bits.
    Integer {
        /// Whether it has 32 bits.
        is_short: bool,
        /// Its range.
        range: Bounds<i64>,
    },
    /// A number.
    Number {
        /// Its range.
        range: Bounds<f64>,
    },
    /// A truth value.
    Boolean,
    /// Any value.
    Any,
    /// A list.
    List(Box<Element>, Bounds<u64>),
    /// An object with any keys.
    Map(Box<Element>, Bounds<u64>),
    /// A type with this name.
    Named(String),
}

/// An element of a list or a value of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    /// Its type.
    pub ty: Ty,
    /// Whether `null` is allowed, too.
    pub is_nullable: bool,
}

/// The bounds of a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds<N> {
    /// The lower bound, and whether it is itself excluded.
    pub from: Option<(N, bool)>,
    /// The upper bound, and whether it is itself excluded.
    pub to: Option<(N, bool)>,
}

impl<N> Bounds<N> {
    /// Everything.
    pub const fn none() -> Self {
        Self { from: None, to: None }
    }

    /// Whether there is no bound.
    pub const fn is_none(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }
}

/// An operation.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Where it is in the document.
    pub position: Position,
    /// Its `operationId`.
    pub id: String,
    /// Its name in code.
    pub ident: String,
    /// One line of documentation.
    pub doc: String,
    /// The method, in lower case.
    pub method: String,
    /// The path, without the prefix.
    pub path: String,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// The body of the request: its type, and whether it has to be there.
    pub body: Option<(Ty, bool)>,
    /// Its responses, the most specific ones first.
    pub responses: Vec<Response>,
    /// The index of the scheme by which callers authenticate.
    pub scheme: Option<usize>,
}

/// A parameter of an operation.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Where it is.
    pub location: Location,
    /// Its name and type.
    pub field: Field,
}

/// Where a parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// A header.
    Header,
}

/// A response of an operation.
#[derive(Debug, Clone)]
pub struct Response {
    /// Its statuses.
    pub statuses: Statuses,
    /// The type of its body.
    pub body: Option<Ty>,
    /// Whether the body is of the type `application/problem+json`.
    pub is_problem: bool,
}

/// The statuses of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Statuses {
    /// One.
    Exact(u16),
    /// Those with this first digit.
    Class(u16),
    /// All others.
    Default,
}

/// How callers authenticate.
#[derive(Debug, Clone)]
pub struct Scheme {
    /// Its name in the document.
    pub name: String,
    /// Its name in code.
    pub ident: String,
    /// The header of the key, in lower case; `None` for a bearer token.
    pub header: Option<String>,
}

/// Reads a document in OpenAPI. Returns all its problems.
pub fn openapi(text: &str) -> Result<Api, Vec<Problem>> {
    let root = yaml::parse(text)?;
    let mut reader = Reader::new(&root);
    let api = operations::read(&mut reader);
    let mut problems = reader.problems;
    problems.sort();
    problems.dedup();
    match api {
        Some(api) if problems.is_empty() => Ok(api),
        _ => Err(problems),
    }
}

/// The first line of a description.
fn first_line(node: &Node, keys: &[&str]) -> String {
    let text = keys.iter().find_map(|key| node.get(key)?.text());
    text.unwrap_or_default().trim().lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests;
