//! The errors that a document declares, made from the problems of the platform: a request that is refused before the
//! operation is called gets the error of the document, too.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{is_enum, shape};
use crate::contract::names::snake;
use crate::contract::{Api, Field, Operation, Response, Shape, Statuses, Ty};
use crate::yaml::Problem;

/// The errors of an API.
pub(crate) struct Errors {
    /// The functions and constants.
    pub(crate) code: String,
    /// For each operation, the expression of its errors.
    pub(crate) of_operation: Vec<String>,
}

/// Collects the errors of an API.
pub(crate) fn read(api: &Api, module: &str) -> Errors {
    let (mut lists, mut types): (Vec<String>, BTreeSet<String>) = (Vec::new(), BTreeSet::new());
    let mut of_operation = Vec::new();
    for operation in &api.operations {
        let declared: String =
            operation.responses.iter().filter_map(|response| declared(api, response, &mut types)).collect();
        if declared.is_empty() {
            of_operation.push("&[]".to_owned());
            continue;
        }
        let index = lists.iter().position(|known| *known == declared).unwrap_or_else(|| {
            lists.push(declared);
            lists.len() - 1
        });
        of_operation.push(list_name(index));
    }
    let functions = types.iter().map(|name| function(api, module, name));
    let constants = lists
        .iter()
        .enumerate()
        .map(|(index, list)| format!("const {}: &[DeclaredError] = &[\n{list}];\n\n", list_name(index)));
    Errors { code: functions.chain(constants).collect(), of_operation }
}

fn list_name(index: usize) -> String {
    if index == 0 { "ERRORS".to_owned() } else { format!("ERRORS_{}", index + 1) }
}

fn declared(api: &Api, response: &Response, types: &mut BTreeSet<String>) -> Option<String> {
    let (from, to) = match response.statuses {
        Statuses::Exact(status @ 400..) => (status, status),
        Statuses::Class(class @ 4..) => (class * 100, class * 100 + 99),
        Statuses::Default => (400, 599),
        _ => return None,
    };
    let render = match &response.body {
        None => "|status, _| contract::empty(status)".to_owned(),
        Some(Ty::Named(name)) if can_be_made(api, name) => {
            types.insert(name.clone());
            let write = if response.is_problem { "problem" } else { "json" };
            format!("|status, problem| contract::{write}(status, &{}(problem))", function_name(name))
        }
        Some(_) => return None,
    };
    Some(format!("DeclaredError {{ statuses: {from}..={to}, render: {render} }},\n"))
}

/// The errors of a document that cannot be made from a problem of the platform.
pub(crate) fn unsupported(api: &Api) -> Vec<Problem> {
    let has_success = |operation: &Operation| {
        let is_success =
            |response: &Response| matches!(response.statuses, Statuses::Exact(200..=299) | Statuses::Class(2));
        operation.responses.iter().any(is_success)
    };
    let mut problems = BTreeSet::new();
    for operation in &api.operations {
        for response in &operation.responses {
            let is_error = match response.statuses {
                Statuses::Exact(status) => status >= 400,
                Statuses::Class(class) => class >= 4,
                // Without another response, the default is that of success.
                Statuses::Default => has_success(operation),
            };
            let message = match &response.body {
                Some(Ty::Named(name)) if can_be_made(api, name) => continue,
                Some(Ty::Named(name)) if !is_enum(api, name) => {
                    let position = api.types.iter().find(|known| known.name == *name).map(|known| known.position);
                    let position = position.unwrap_or(operation.position);
                    let message =
                        "a refused request has no value for a required property of this error; make it optional";
                    problems.extend(is_error.then(|| Problem { position, message: message.to_owned() }));
                    continue;
                }
                Some(_) => "errors must be objects",
                None => continue,
            };
            problems.extend(is_error.then(|| Problem { position: operation.position, message: message.to_owned() }));
        }
    }
    problems.into_iter().collect()
}

fn function_name(name: &str) -> String {
    let name = snake(name).unwrap_or_default();
    format!("{}_of", name.trim_start_matches("r#"))
}

fn can_be_made(api: &Api, name: &str) -> bool {
    matches!(shape(api, name), Some(Shape::Object { fields, .. })
        if fields.iter().all(|field| value(api, "", field).is_some()))
}

fn function(api: &Api, module: &str, name: &str) -> String {
    let Some(Shape::Object { fields, .. }) = shape(api, name) else { return String::new() };
    let mut members = String::new();
    for field in fields {
        if let Some(value) = value(api, module, field) {
            // Writing to a `String` does not fail.
            writeln!(members, "{}: {value},", field.ident).ok();
        }
    }
    let argument = if members.contains("problem.") { "problem" } else { "_" };
    format!(
        "/// The error of the API for a problem of the platform.\nfn {}({argument}: &Problem) -> {module}::{name} {{\n\
         {module}::{name} {{\n{members}}}\n}}\n\n",
        function_name(name)
    )
}

/// The value of a field; none if there is none for it.
fn value(api: &Api, module: &str, field: &Field) -> Option<String> {
    let known = known_value(api, module, field);
    let levels = usize::from(field.is_optional()) + usize::from(field.usage.is_nullable);
    if levels > 0 {
        return Some(
            known.map_or_else(|| "None".to_owned(), |value| "Some(".repeat(levels) + &value + &")".repeat(levels)),
        );
    }
    let empty = || match &field.usage.ty {
        Ty::Text { .. } => Some("String::new()"),
        Ty::Integer { .. } => Some("0"),
        Ty::Number { .. } => Some("0.0"),
        Ty::Boolean => Some("false"),
        Ty::List(..) => Some("Vec::new()"),
        Ty::Map(..) => Some("std::collections::BTreeMap::new()"),
        Ty::Any => Some("serde_json::Value::Null"),
        Ty::Uuid | Ty::Time | Ty::Named(_) => None,
    };
    let default = field.usage.default.clone().filter(|_| !matches!(field.usage.ty, Ty::Named(_)));
    known.or(default).or_else(|| empty().map(str::to_owned))
}

/// The value that a problem has for a field of this name.
fn known_value(api: &Api, module: &str, field: &Field) -> Option<String> {
    let name = field.ident.trim_start_matches("r#");
    let code = match (&field.usage.ty, name) {
        (Ty::Integer { is_short, .. }, "code" | "status" | "status_code" | "http_status") => {
            return Some(format!("{}::from(problem.status)", if *is_short { "i32" } else { "i64" }));
        }
        (Ty::Text { .. }, "code" | "error_code" | "status" | "error") => "problem.code.clone().into_owned()",
        (Ty::Text { .. }, "type" | "kind") => "problem.kind.to_owned()",
        (Ty::Text { .. }, "title") => "problem.title.clone().into_owned()",
        (Ty::Text { .. }, "message" | "msg" | "detail" | "description" | "error_description" | "reason") => {
            "problem.detail.clone().unwrap_or_else(|| problem.title.clone().into_owned())"
        }
        (Ty::List(element, _), "errors" | "details" | "fields" | "violations") => match &element.ty {
            Ty::Named(name) if !element.is_nullable && !is_enum(api, name) => return fields_code(api, module, name),
            _ => return None,
        },
        _ => return None,
    };
    Some(code.to_owned())
}

/// The invalid fields of a problem as a list of objects.
fn fields_code(api: &Api, module: &str, name: &str) -> Option<String> {
    let Shape::Object { fields, .. } = shape(api, name)? else { return None };
    let member = |field: &Field| {
        let source = match (&field.usage.ty, field.ident.as_str()) {
            (Ty::Text { .. }, "field" | "name" | "path" | "location" | "parameter") => "invalid.field.clone()",
            (Ty::Text { .. }, "message" | "reason" | "detail" | "error" | "description") => "invalid.reason.clone()",
            _ if field.is_optional() => return Some(format!("{}: None", field.ident)),
            _ => return None,
        };
        if field.usage.is_nullable {
            return None;
        }
        Some(if field.is_optional() {
            format!("{}: Some({source})", field.ident)
        } else {
            format!("{}: {source}", field.ident)
        })
    };
    let members: Vec<_> = fields.iter().map(member).collect::<Option<_>>()?;
    Some(format!("problem.errors.iter().map(|invalid| {module}::{name} {{ {} }}).collect()", members.join(", ")))
}
