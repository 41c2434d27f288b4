//! The HTTP routes of an API: each reads and checks the input, calls the operation, and writes its response.

use std::collections::BTreeMap;

use super::errors;
use super::operations::authenticate;
use super::{parameter_reader, request_type, type_name, variant};
use crate::contract::{Api, Location, Operation, Parameter, Response, Statuses, Ty};

/// The routes of an API, whose types are in `module`.
pub(crate) fn routes(api: &Api, module: &str, has_document: bool) -> String {
    let errors = errors::read(api, module);
    let mut paths: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for operation in &api.operations {
        paths.entry(&operation.path).or_default().push(format!("{}({})", operation.method, operation.ident));
    }
    let registered = paths.iter().map(|(path, methods)| {
        format!(".route({:?}, routing::{})\n", format!("{}{path}", api.prefix), methods.join("."))
    });
    let (router, start) = if has_document {
        let start = format!("OpenApiRouter::with_openapi(contract::document({module}::DOCUMENT))");
        ("OpenApiRouter<Shared>", start)
    } else {
        ("Router<Shared>", "Router::new()".to_owned())
    };
    let handlers = api
        .operations
        .iter()
        .enumerate()
        .map(|(index, operation)| handler(api, operation, module, &errors.of_operation[index]));
    format!(
        "/// The implementation of the operations.\npub type Shared = Arc<dyn {module}::Api>;\n\n\
         /// The routes.\npub fn routes() -> {router} {{\n{start}\n{}}}\n\n{}{}",
        registered.collect::<String>(),
        errors.code,
        handlers.collect::<String>()
    )
}

/// What the code of [`routes`] names.
pub(crate) fn imports(code: &str, has_document: bool) -> String {
    let mut axum = vec!["routing"];
    if !has_document {
        axum.push("Router");
    }
    let contract: Vec<_> = [("self", "contract::"), ("DeclaredError", "DeclaredError {"), ("Input", "Input::new")]
        .into_iter()
        .filter(|(_, used)| code.contains(used))
        .map(|(name, _)| name)
        .collect();
    let http: Vec<_> = [("HttpError", "HttpError>"), ("Problem", "&Problem")]
        .into_iter()
        .filter(|(_, used)| code.contains(used))
        .map(|(name, _)| name)
        .collect();
    let extract = if code.contains("request: Request") { "{Request, State}" } else { "State" };
    let router = if has_document { "use utoipa_axum::router::OpenApiRouter;\n" } else { "" };
    format!(
        "use std::sync::Arc;\n\nuse axum::extract::{extract};\nuse axum::response::Response;\nuse axum::{{{}}};\n\
         use kennel_http::contract::{{{}}};\nuse kennel_http::{{{}}};\n{router}",
        axum.join(", "),
        contract.join(", "),
        http.join(", ")
    )
}

fn handler(api: &Api, operation: &Operation, module: &str, declared: &str) -> String {
    let request = request_type(operation);
    let needs_input = request.is_some() || operation.scheme.is_some();
    let argument = if needs_input { ", request: Request" } else { "" };
    let mut steps = Vec::new();
    if needs_input {
        steps.push("let input = Input::new(request).await?;\n".to_owned());
    }
    if let Some(scheme) = operation.scheme.and_then(|index| api.schemes.get(index)) {
        let credential = scheme
            .header
            .as_ref()
            .map_or_else(|| "input.bearer()?".to_owned(), |name| format!("input.api_key({name:?})?"));
        let method = authenticate(&scheme.ident);
        steps.push(format!("contract::identify(api.{method}({credential}).await?);\n"));
    }
    let call = if let Some(request) = request {
        let fields: String = operation
            .parameters
            .iter()
            .map(|parameter| read_parameter(parameter, module))
            .chain(read_body(operation))
            .collect();
        steps.push(format!("let request = contract::checked({module}::{request} {{\n{fields}}})?;\n"));
        format!("api.{}(request).await?", operation.ident)
    } else {
        format!("api.{}().await?", operation.ident)
    };
    let (steps, responses) = (steps.concat(), arms(operation, module));
    format!(
        "/// `{} {}{}`\nasync fn {}(State(api): State<Shared>{argument}) -> Response {{\n\
         let answer = async {{\n{steps}Ok::<_, HttpError>({call})\n}};\n\
         match answer.await {{\n{}Err(error) => contract::failed(error, {declared}),\n}}\n}}\n\n",
        operation.method.to_uppercase(),
        api.prefix,
        operation.path,
        operation.ident,
        responses
    )
}

fn read_parameter(parameter: &Parameter, module: &str) -> String {
    let field = &parameter.field;
    let (name, reader) = (&field.name, parameter_reader(&field.usage.ty));
    let read = match (parameter.location, &field.usage.ty) {
        (Location::Path, _) => return format!("{}: input.path({name:?}, {reader})?,\n", field.ident),
        (Location::Query, Ty::List(..)) => format!("input.query_list({name:?}, {reader})?"),
        (Location::Query, _) => format!("input.query({name:?}, {reader})?"),
        (Location::Header, _) => format!("input.header({:?}, {reader})?", name.to_ascii_lowercase()),
    };
    let value = match &field.usage.default {
        _ if field.is_required => format!("contract::required({name:?}, {read})?"),
        Some(default) if matches!(field.usage.ty, Ty::Text { .. }) => format!("{read}.unwrap_or_else(|| {default})"),
        Some(default) => format!("{read}.unwrap_or({})", qualified(default, &field.usage.ty, module)),
        None => read,
    };
    format!("{}: {value},\n", field.ident)
}

/// A default, with the module if it names a type.
fn qualified(default: &str, ty: &Ty, module: &str) -> String {
    if matches!(ty, Ty::Named(_)) { format!("{module}::{default}") } else { default.to_owned() }
}

fn read_body(operation: &Operation) -> Option<String> {
    let (_, is_required) = operation.body.as_ref()?;
    let method = if *is_required { "json" } else { "optional_json" };
    Some(format!("body: input.{method}().await?,\n"))
}

/// The arms of all responses. Those that do the same with values of the same types are one.
fn arms(operation: &Operation, module: &str) -> String {
    let mut arms: Vec<(String, String, Option<&Ty>)> = Vec::new();
    for response in &operation.responses {
        let (pattern, write) = arm(operation, response, module);
        let ty = response.body.as_ref();
        match arms.iter_mut().find(|(_, known, known_ty)| *known == write && *known_ty == ty) {
            Some((patterns, ..)) => *patterns = format!("{patterns} | {pattern}"),
            None => arms.push((pattern, write, ty)),
        }
    }
    let arms: Vec<_> = arms.iter().map(|(pattern, write, _)| format!("Ok({pattern}) => {write},\n")).collect();
    arms.concat()
}

/// The pattern and the expression of an arm.
fn arm(operation: &Operation, response: &Response, module: &str) -> (String, String) {
    let name = format!("{module}::{}::{}", type_name(operation, "Response"), variant(response));
    let status = match response.statuses {
        Statuses::Exact(status) => status.to_string(),
        _ => "status".to_owned(),
    };
    let values: Vec<_> = [(status == "status").then_some("status"), response.body.as_ref().map(|_| "body")]
        .into_iter()
        .flatten()
        .collect();
    let pattern = if values.is_empty() { name } else { format!("{name}({})", values.join(", ")) };
    let write = match (&response.body, response.is_problem) {
        (None, _) => format!("contract::empty({status})"),
        (Some(_), false) => format!("contract::json({status}, &body)"),
        (Some(_), true) => format!("contract::problem({status}, &body)"),
    };
    (pattern, write)
}
