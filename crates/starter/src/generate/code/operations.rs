//! The operations of a document as a trait, with their inputs and responses.

use super::types::{field_type, patterns, rust, types, validation};
use super::{doc, input_fields, request_type, status_text, type_name, variant};
use crate::contract::{Api, Operation, Response, Statuses};

/// The module of a document: types, inputs, responses, and the trait. `path` is where the document is.
pub(crate) fn module(api: &Api, path: &str, document: &str, is_server: bool) -> String {
    let operations: String =
        api.operations.iter().map(|operation| input(api, operation) + &responses(operation)).collect();
    let body = [patterns(api), types(api), operations, service(api, is_server)].concat();
    let imports = imports(&body, is_server && !api.schemes.is_empty());
    let document =
        format!("/// The document, as OpenAPI 3.1.\npub const DOCUMENT: &str = include_str!({document:?});\n\n");
    let document = if is_server { document } else { String::new() };
    format!(
        "//! The API that `{path}` describes: its types, and its operations as a trait.\n\n{imports}\n{document}{body}"
    )
}

/// What the code of a module names.
fn imports(body: &str, authenticates: bool) -> String {
    let mut core = vec!["Failure"];
    let others = [
        ("Principal", authenticates),
        ("Validate", body.contains("impl Validate")),
        ("Violations", body.contains("&mut Violations")),
    ];
    core.extend(others.into_iter().filter(|(_, used)| *used).map(|(name, _)| name));
    let mut lines =
        vec!["use async_trait::async_trait;".to_owned(), format!("use kennel_core::{{{}}};", core.join(", "))];
    if body.contains("LazyLock<") {
        lines.insert(0, "use std::sync::LazyLock;\n".to_owned());
        lines.push("use regex::Regex;".to_owned());
    }
    if body.contains("Serialize, Deserialize)") {
        lines.push("use serde::{Deserialize, Serialize};".to_owned());
    }
    lines.join("\n") + "\n"
}

fn input(api: &Api, operation: &Operation) -> String {
    let Some(name) = request_type(operation) else { return String::new() };
    let fields = input_fields(operation);
    let members = fields.iter().map(|field| {
        let text = doc(&field.doc, &format!("The parameter `{}`.", field.name));
        format!("{text}pub {}: {},\n", field.ident, field_type(field, false))
    });
    format!(
        "/// The input of `{}`.\n#[derive(Debug, Clone, PartialEq)]\npub struct {name} {{\n{}}}\n\n{}",
        operation.id,
        members.collect::<String>(),
        validation(api, &name, &fields)
    )
}

fn responses(operation: &Operation) -> String {
    let variants = operation.responses.iter().map(|response| {
        format!("/// {}\n{}{},\n", status_text(response.statuses), variant(response), payload(response))
    });
    format!(
        "/// The responses of `{}`.\n#[derive(Debug, Clone, PartialEq)]\npub enum {} {{\n{}}}\n\n",
        operation.id,
        type_name(operation, "Response"),
        variants.collect::<String>()
    )
}

/// The status if there are several, and the body.
fn payload(response: &Response) -> String {
    let status = if matches!(response.statuses, Statuses::Exact(_)) { None } else { Some("u16".to_owned()) };
    let values: Vec<_> = status.into_iter().chain(response.body.as_ref().map(rust)).collect();
    if values.is_empty() { String::new() } else { format!("({})", values.join(", ")) }
}

fn service(api: &Api, is_server: bool) -> String {
    let schemes = api.schemes.iter().filter(|_| is_server).map(|scheme| {
        format!(
            "/// Who has this credential of the scheme `{}`. Without one, the failure has the kind `Unauthenticated`.\n\
             async fn {}(&self, credential: &str) -> Result<Principal, Failure>;\n\n",
            scheme.name,
            authenticate(&scheme.ident)
        )
    });
    let operations = api.operations.iter().map(|operation| {
        let text = doc(&operation.doc, &format!("The operation `{}`.", operation.id));
        let route = format!("/// `{} {}{}`\n", operation.method.to_uppercase(), api.prefix, operation.path);
        format!("{text}///\n{route}{};\n\n", signature(operation, "request"))
    });
    let methods: String = schemes.chain(operations).collect();
    format!(
        "/// The operations.\n#[async_trait]\npub trait Api: Send + Sync + 'static {{\n{}\n}}\n",
        methods.trim_end()
    )
}

/// The name of the method that checks a credential.
pub(crate) fn authenticate(scheme: &str) -> String {
    format!("authenticate_{}", scheme.trim_start_matches("r#"))
}

/// The signature of a method, with the name of its argument.
pub(crate) fn signature(operation: &Operation, argument: &str) -> String {
    let input = request_type(operation).map(|ty| format!(", {argument}: {ty}")).unwrap_or_default();
    let output = type_name(operation, "Response");
    format!("async fn {}(&self{input}) -> Result<{output}, Failure>", operation.ident)
}

/// The names of the trait and of the types in its signatures, sorted.
pub(crate) fn names(api: &Api) -> Vec<String> {
    let types = api
        .operations
        .iter()
        .flat_map(|operation| request_type(operation).into_iter().chain([type_name(operation, "Response")]));
    let mut names: Vec<_> = types.chain(["Api".to_owned()]).collect();
    names.sort();
    names
}
