//! A client of an API: the trait of its operations over HTTP.

use super::operations::signature;
use super::{is_enum, type_name, variant};
use crate::config::Rest;
use crate::contract::names::pascal;
use crate::contract::{Api, Location, Operation, Parameter, Response, Statuses, Ty};

/// The module of a client.
pub(crate) fn client(api: &Api, rest: &Rest, module: &str, contracts: &str) -> String {
    let name = format!("{}Client", pascal(&rest.name).unwrap_or_default());
    let path = rest.path.as_deref().unwrap_or_default();
    let (authentication, header) = match &rest.auth_params {
        None => ("Authentication::None".to_owned(), ""),
        Some(auth) if auth.kind == "bearer" => ("Authentication::Bearer".to_owned(), ""),
        Some(auth) => (
            format!("Authentication::Header(HeaderName::from_static({:?}))", auth.name.to_ascii_lowercase()),
            "HeaderName, ",
        ),
    };
    let methods: String = api.operations.iter().map(|operation| method(api, operation, module)).collect();
    let http = if header.is_empty() { "use http::Method;" } else { "use http::{HeaderName, Method};" };
    format!(
        "//! The client of the API that `{path}` describes.\n\n#[cfg(feature = \"mock\")]\npub mod mock;\n\n\
         use async_trait::async_trait;\n{http}\nuse kennel_client::contract::InvalidApi;\n\
         use kennel_client::{{ApiClient, ApiConfig, Authentication, Client}};\nuse kennel_core::Failure;\n\
         use {contracts}::{module};\n\n\
         /// Calls the operations over HTTP.\n#[derive(Debug, Clone)]\npub struct {name}(ApiClient);\n\n\
         impl {name} {{\n/// A client of the server that `config` names.\n\
         pub fn new(client: Client, config: &ApiConfig) -> Result<Self, InvalidApi> {{\n\
         Ok(Self(ApiClient::new(client, config, {authentication})?))\n}}\n}}\n\n\
         #[async_trait]\nimpl {module}::Api for {name} {{\n{}\n}}\n",
        methods.trim_end()
    )
}

fn method(api: &Api, operation: &Operation, module: &str) -> String {
    let signature = qualified(&signature(operation, "request"), operation, module);
    let steps: String = operation.parameters.iter().filter_map(|parameter| add_parameter(api, parameter)).collect();
    let body = match operation.body {
        Some((_, true)) => "call.json(&request.body)?;\n",
        Some((_, false)) => "if let Some(body) = &request.body {\ncall.json(body)?;\n}\n",
        None => "",
    };
    let mutable = if steps.is_empty() && body.is_empty() { "" } else { "mut " };
    let response = format!("{module}::{}", type_name(operation, "Response"));
    let declared: Vec<_> = operation.responses.iter().flat_map(ranges).collect();
    let arms: String = operation.responses.iter().map(|found| arm(found, &response)).collect();
    let rest = if operation.responses.iter().any(|found| found.statuses == Statuses::Default) {
        ""
    } else {
        "_ => Err(answer.undeclared()),\n"
    };
    format!(
        "{signature} {{\nlet {mutable}call = self.0.call(Method::{}, &[{}])?;\n{steps}{body}\
         let answer = call.send(&[{}]).await?;\nmatch answer.status() {{\n{arms}{rest}}}\n}}\n\n",
        operation.method.to_uppercase(),
        segments(api, operation),
        declared.join(", ")
    )
}

/// A signature with the module in front of its own types.
pub(super) fn qualified(signature: &str, operation: &Operation, module: &str) -> String {
    let types = ["Request", "Response"].map(|suffix| type_name(operation, suffix));
    types.iter().fold(signature.to_owned(), |text, name| {
        text.replace(&format!(" {name}"), &format!(" {module}::{name}"))
            .replace(&format!("<{name}"), &format!("<{module}::{name}"))
    })
}

/// The statuses to accept. Of those that are not declared one by one, failures of the server are tried again instead.
fn ranges(response: &Response) -> Vec<String> {
    match response.statuses {
        Statuses::Exact(status) => vec![format!("{status}..={status}")],
        Statuses::Class(4) => vec!["400..=428".to_owned(), "430..=499".to_owned()],
        Statuses::Class(5) => Vec::new(),
        Statuses::Class(class) => vec![format!("{class}00..={class}99")],
        Statuses::Default => vec!["200..=299".to_owned(), "400..=428".to_owned(), "430..=499".to_owned()],
    }
}

fn segments(api: &Api, operation: &Operation) -> String {
    let path = format!("{}{}", api.prefix, operation.path);
    let segments = path.split('/').filter(|segment| !segment.is_empty()).map(|segment| {
        let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let is_this = |parameter: &&Parameter| {
            parameter.location == Location::Path && Some(parameter.field.name.as_str()) == name
        };
        match operation.parameters.iter().find(is_this) {
            Some(parameter) => text(api, &parameter.field.usage.ty, &format!("request.{}", parameter.field.ident)),
            None => format!("{segment:?}"),
        }
    });
    segments.collect::<Vec<_>>().join(", ")
}

/// A value as a text.
fn text(api: &Api, ty: &Ty, place: &str) -> String {
    match ty {
        Ty::Text { .. } => format!("&{place}"),
        Ty::Named(name) if is_enum(api, name) => format!("{place}.as_str()"),
        _ => format!("&{place}.to_string()"),
    }
}

/// A value that can be displayed, of a reference.
fn shown(api: &Api, ty: &Ty, place: &str) -> String {
    match ty {
        Ty::Named(name) if is_enum(api, name) => format!("{place}.as_str()"),
        _ => place.to_owned(),
    }
}

fn add_parameter(api: &Api, parameter: &Parameter) -> Option<String> {
    let field = &parameter.field;
    let place = format!("request.{}", field.ident);
    let (call, end) = match parameter.location {
        Location::Path => return None,
        Location::Query => (format!("call.query({:?}, ", field.name), ");\n"),
        Location::Header => (format!("call.header({:?}, ", field.name.to_ascii_lowercase()), ")?;\n"),
    };
    Some(match (&field.usage.ty, field.is_optional()) {
        (Ty::List(element, _), is_optional) => {
            let add = format!("{call}{}{end}", shown(api, &element.ty, "value"));
            let list = if is_optional { format!("{place}.iter().flatten()") } else { format!("&{place}") };
            format!("for value in {list} {{\n{add}}}\n")
        }
        (ty, true) => format!("if let Some(value) = &{place} {{\n{call}{}{end}}}\n", shown(api, ty, "value")),
        (ty, false) => {
            let place = if matches!(ty, Ty::Named(_)) { place } else { format!("&{place}") };
            format!("{call}{}{end}", shown(api, ty, &place))
        }
    })
}

fn arm(response: &Response, name: &str) -> String {
    let variant = format!("{name}::{}", variant(response));
    let (pattern, status) = match response.statuses {
        Statuses::Exact(status) => (status.to_string(), None),
        Statuses::Class(class) => (format!("status @ {class}00..={class}99"), Some("status")),
        Statuses::Default => ("status".to_owned(), Some("status")),
    };
    let body = response.body.as_ref().map(|_| "answer.json()?");
    let values: Vec<_> = status.into_iter().chain(body).collect();
    let value = if values.is_empty() { variant } else { format!("{variant}({})", values.join(", ")) };
    format!("{pattern} => Ok({value}),\n")
}
