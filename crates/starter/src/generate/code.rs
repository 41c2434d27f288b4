//! Code for the documents of the user: what a document has decides more than a template could say. `rustfmt` formats it.

pub(super) mod client;
pub(super) mod errors;
pub(super) mod events;
pub(super) mod mock;
pub(super) mod operations;
pub(super) mod routes;
pub(super) mod types;

use crate::contract::names::pascal;
use crate::contract::{Api, Field, Operation, Response, Shape, Statuses, Ty};

/// The name of an operation's type with a suffix.
fn type_name(operation: &Operation, suffix: &str) -> String {
    format!("{}{suffix}", pascal(&operation.id).unwrap_or_default())
}

/// The type of a request; none if the operation has no input.
fn request_type(operation: &Operation) -> Option<String> {
    let has_input = operation.body.is_some() || !operation.parameters.is_empty();
    has_input.then(|| type_name(operation, "Request"))
}

/// The name of a response's variant: that of its status.
fn variant(response: &Response) -> String {
    match response.statuses {
        Statuses::Default => "Default".to_owned(),
        Statuses::Class(class) => {
            let names = ["Success", "Redirection", "ClientError", "ServerError"];
            names[usize::from(class).saturating_sub(2).min(3)].to_owned()
        }
        Statuses::Exact(status) => {
            let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
            reason.and_then(|reason| pascal(&reason.replace('\'', ""))).unwrap_or_else(|| format!("Status{status}"))
        }
    }
}

/// The status in words, for documentation.
fn status_text(statuses: Statuses) -> String {
    match statuses {
        Statuses::Exact(status) => format!("The status {status}."),
        Statuses::Class(class) => format!("A status from {class}00 to {class}99."),
        Statuses::Default => "Any other status.".to_owned(),
    }
}

/// Whether a named type is one of several texts.
fn is_enum(api: &Api, name: &str) -> bool {
    shape(api, name).is_some_and(|shape| matches!(shape, Shape::Enum(_)))
}

fn shape<'a>(api: &'a Api, name: &str) -> Option<&'a Shape> {
    api.types.iter().find(|known| known.name == name).map(|known| &known.shape)
}

/// One line of documentation as a comment, in which nothing is a link or a tag.
pub(super) fn doc(text: &str, otherwise: &str) -> String {
    if text.is_empty() {
        return format!("/// {otherwise}\n");
    }
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if matches!(char, '[' | ']' | '<' | '>' | '*' | '_') {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    format!("/// {escaped}\n")
}

/// The parameters and the body of an operation as fields.
fn input_fields(operation: &Operation) -> Vec<Field> {
    let parameters = operation.parameters.iter().map(|parameter| parameter.field.clone());
    let body = operation.body.iter().map(|(ty, is_required)| Field {
        name: String::new(),
        ident: "body".to_owned(),
        doc: "The body.".to_owned(),
        usage: crate::contract::Usage { ty: ty.clone(), is_nullable: false, default: None },
        is_required: *is_required,
    });
    parameters.chain(body).collect()
}

/// The function of `kennel_http::contract` that reads a parameter.
fn parameter_reader(ty: &Ty) -> &'static str {
    match ty {
        Ty::Integer { .. } => "contract::integer",
        Ty::Number { .. } => "contract::number",
        Ty::Boolean => "contract::boolean",
        Ty::List(element, _) => parameter_reader(&element.ty),
        _ => "contract::text",
    }
}
