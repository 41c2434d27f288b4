//! The operations of a document in OpenAPI.

use std::collections::BTreeSet;

use super::names::{pascal, snake};
use super::reader::Reader;
use super::{Api, Field, Location, Operation, Parameter, Response, Scheme, Statuses, Ty, first_line};
use crate::yaml::{Key, Node, Position};

const METHODS: &[&str] = &["get", "put", "post", "delete", "options", "head", "patch", "trace"];

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Api> {
    let root = reader.root;
    let version = root.get("openapi").and_then(Node::text).unwrap_or_default();
    reader.is_old = version.starts_with("3.0.");
    if !reader.is_old && !version.starts_with("3.1.") {
        let position = root.get("openapi").map_or(root.position, |node| node.position);
        return reader.add(position, "`openapi` must be 3.0.x or 3.1.x");
    }
    let supported = ["openapi", "info", "servers", "paths", "components", "security", "jsonSchemaDialect"];
    reader.object(root, "the document", &supported);
    let info = root.get("info")?;
    reader.object(info, "`info`", &["title", "version", "contact", "license", "termsOfService", "summary"]);
    let prefix = prefix(reader)?;
    let schemes = components(reader);
    let Some(paths) = root.get("paths") else { return reader.add(root.position, "`paths` is missing") };
    let mut operations: Vec<Operation> = Vec::new();
    for (path, item) in reader.entries(paths, "`paths`") {
        check_path(reader, path, &operations);
        operations.extend(path_item(reader, path, item, &schemes));
    }
    if operations.is_empty() {
        reader.add::<()>(paths.position, "there are no operations");
    }
    unique_names(reader, &operations);
    let document = document(root, reader.is_old);
    Some(Api { prefix, types: std::mem::take(&mut reader.types), operations, schemes, document })
}

/// The path of the server.
fn prefix(reader: &mut Reader<'_>) -> Option<String> {
    let Some(servers) = reader.root.get("servers") else { return Some(String::new()) };
    let mut prefixes = BTreeSet::new();
    for server in reader.list(servers, "`servers`") {
        reader.object(server, "a server", &["url"]);
        let Some(node) = server.get("url") else { continue };
        let url = reader.text(node, "`url`")?;
        if url.contains(['{', '?', '#']) {
            return reader.add(node.position, "only a URL without variables, query and fragment is supported");
        }
        let path = match url.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
            None if url.starts_with('/') => url,
            None => "",
        };
        prefixes.insert(path.trim_end_matches('/').to_owned());
    }
    if prefixes.len() > 1 {
        return reader.add(servers.position, "all servers must have the same path");
    }
    Some(prefixes.pop_first().unwrap_or_default())
}

/// Reads all schemas, so that problems of unused ones are found, and returns the security schemes.
fn components(reader: &mut Reader<'_>) -> Vec<Scheme> {
    let Some(components) = reader.root.get("components") else { return Vec::new() };
    let sections = ["schemas", "parameters", "responses", "requestBodies", "securitySchemes"];
    reader.object(components, "`components`", &sections);
    if let Some(schemas) = components.get("schemas") {
        for (key, node) in reader.entries(schemas, "`schemas`") {
            reader.component(key, node);
        }
    }
    let Some(schemes) = components.get("securitySchemes") else { return Vec::new() };
    let entries = reader.entries(schemes, "`securitySchemes`");
    entries.into_iter().filter_map(|(key, node)| scheme(reader, key, node)).collect()
}

fn scheme<'a>(reader: &mut Reader<'a>, key: &'a Key, node: &'a Node) -> Option<Scheme> {
    reader.object(node, "a security scheme", &["type", "scheme", "bearerFormat", "in", "name"]);
    let Some(ident) = snake(&key.name) else {
        return reader.add(key.position, format!("`{}` is no name in code; it must start with a letter", key.name));
    };
    let text = |key: &str| node.get(key).and_then(Node::text).unwrap_or_default();
    let header = match (text("type"), text("scheme").to_ascii_lowercase().as_str(), text("in")) {
        ("http", "bearer", "") => None,
        ("apiKey", "", "header") if is_header(text("name")) => Some(text("name").to_ascii_lowercase()),
        _ => {
            let message = "only the schemes `bearer` of the type `http`, and `apiKey` in a header are supported";
            return reader.add(node.position, message);
        }
    };
    Some(Scheme { name: key.name.clone(), ident, header })
}

fn is_header(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '-' || char == '_')
}

/// Refuses a path that the router cannot have, or not together with another one.
fn check_path(reader: &mut Reader<'_>, path: &Key, operations: &[Operation]) {
    if !path.name.starts_with('/') {
        reader.add::<()>(path.position, "a path must start with `/`");
    }
    for segment in path.name.split('/').filter(|segment| segment.contains(['{', '}', '*'])) {
        let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        if name.is_none_or(|name| name.is_empty() || name.contains(['{', '}', '*'])) {
            reader.add::<()>(
                path.position,
                format!("a parameter must be a whole segment of the path, unlike `{segment}`"),
            );
        }
    }
    for other in operations {
        let (mut ours, mut theirs) = (path.name.split('/'), other.path.split('/'));
        let differ = std::iter::from_fn(|| Some((ours.next()?, theirs.next()?))).find(|(one, other)| one != other);
        if let Some((one, other)) = differ.filter(|(one, other)| one.starts_with('{') && other.starts_with('{')) {
            reader
                .add::<()>(path.position, format!("the same parameter is called `{one}` here and `{other}` elsewhere"));
            break;
        }
    }
}

fn path_item<'a>(reader: &mut Reader<'a>, path: &'a Key, item: &'a Node, schemes: &[Scheme]) -> Vec<Operation> {
    reader.object(item, "a path", &[METHODS, &["parameters"]].concat());
    let shared = item.get("parameters").map(|node| reader.list(node, "`parameters`")).unwrap_or_default();
    let methods = reader.entries(item, "a path").into_iter().filter(|(key, _)| METHODS.contains(&&*key.name));
    let operations = methods.filter_map(|(method, node)| {
        if method.name == "trace" {
            return reader.add(method.position, "the method `trace` is not supported");
        }
        operation(reader, path, method, node, shared, schemes)
    });
    operations.collect()
}

fn operation<'a>(
    reader: &mut Reader<'a>,
    path: &'a Key,
    method: &'a Key,
    node: &'a Node,
    shared: &'a [Node],
    schemes: &[Scheme],
) -> Option<Operation> {
    let supported = ["operationId", "parameters", "requestBody", "responses", "security"];
    reader.object(node, "an operation", &supported);
    let id = match node.get("operationId") {
        Some(id) => reader.text(id, "`operationId`")?.to_owned(),
        None => format!("{} {}", method.name, path.name.replace(['{', '}'], " ")),
    };
    let position = node.get("operationId").map_or(method.position, |node| node.position);
    let Some(ident) = snake(&id) else {
        return reader.add(position, format!("`{id}` is no name of a function; it must start with a letter"));
    };
    let type_name = pascal(&id)?;
    let own = node.get("parameters").map(|node| reader.list(node, "`parameters`")).unwrap_or_default();
    let parameters = parameters(reader, path, own, shared, &type_name);
    let body = match node.get("requestBody") {
        Some(body) => Some(request_body(reader, body, &type_name)?),
        None => None,
    };
    if let Some(field) = parameters.iter().find(|parameter| parameter.field.ident == "body").filter(|_| body.is_some())
    {
        reader.add::<()>(position, format!("the parameter `{}` has the name of the body in code", field.field.name));
    }
    let Some(responses) = node.get("responses") else { return reader.add(method.position, "`responses` is missing") };
    let responses = self::responses(reader, responses, &type_name);
    let scheme = security(reader, node, schemes);
    let doc = first_line(node, &["summary", "description"]);
    let (method, path) = (method.name.clone(), path.name.clone());
    Some(Operation { position, id, ident, doc, method, path, parameters, body, responses, scheme })
}

/// Those of the operation, and those of the path that it does not replace.
fn parameters<'a>(
    reader: &mut Reader<'a>,
    path: &'a Key,
    own: &'a [Node],
    shared: &'a [Node],
    name: &str,
) -> Vec<Parameter> {
    let mut found: Vec<Parameter> = Vec::new();
    for (index, node) in own.iter().chain(shared).enumerate() {
        let Some(parameter) = parameter(reader, node, name) else { continue };
        let is_same =
            |known: &Parameter| (known.location, &known.field.name) == (parameter.location, &parameter.field.name);
        if found.iter().any(is_same) {
            if index < own.len() {
                reader.add::<()>(node.position, format!("`{}` is already a parameter", parameter.field.name));
            }
            continue;
        }
        if found.iter().any(|known| known.field.ident == parameter.field.ident) {
            let message = format!("another parameter is called `{}` in code, too", parameter.field.ident);
            reader.add::<()>(node.position, message);
        }
        found.push(parameter);
    }
    let in_path = |name: &str| path.name.split('/').any(|segment| segment == format!("{{{name}}}"));
    for parameter in found.iter().filter(|parameter| parameter.location == Location::Path) {
        if !in_path(&parameter.field.name) {
            reader.add::<()>(path.position, format!("the path has no `{{{}}}`", parameter.field.name));
        }
    }
    for segment in path.name.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}')) {
        let is_known = |known: &Parameter| known.location == Location::Path && known.field.name == segment;
        if !found.iter().any(is_known) && !own.iter().chain(shared).any(|node| node.get("$ref").is_some()) {
            reader.add::<()>(path.position, format!("the parameter `{segment}` of the path is not described"));
        }
    }
    found
}

fn parameter<'a>(reader: &mut Reader<'a>, node: &'a Node, operation: &str) -> Option<Parameter> {
    let node = reader.resolve(node, "parameters")?;
    reader.object(node, "a parameter", &["name", "in", "required", "schema", "style", "explode", "allowEmptyValue"]);
    let (Some(name), Some(schema)) = (node.get("name"), node.get("schema")) else {
        return reader.add(node.position, "a parameter needs `name`, `in` and `schema`");
    };
    let name = reader.text(name, "`name`")?;
    let (location, style) = match node.get("in").and_then(Node::text) {
        Some("path") => (Location::Path, "simple"),
        Some("query") => (Location::Query, "form"),
        Some("header") if is_header(name) => (Location::Header, "simple"),
        _ => return reader.add(node.position, "only parameters in `path`, `query` and `header` are supported"),
    };
    if let Some(given) = node.get("style").filter(|given| given.text() != Some(style)) {
        return reader.add(given.position, format!("only the style `{style}` is supported here"));
    }
    if let Some(given) = node.get("explode").filter(|given| given.boolean() != Some(location == Location::Query)) {
        return reader.add(given.position, format!("`explode` must be {} here", location == Location::Query));
    }
    let is_required = reader.flag(node, "required");
    if location == Location::Path && !is_required {
        return reader.add(node.position, "a parameter of the path must be `required: true`");
    }
    let usage = reader.schema(schema, &format!("{operation}-{name}"))?;
    let is_scalar = |ty: &Ty| match ty {
        Ty::Named(name) => reader.is_enum(name),
        Ty::List(..) | Ty::Map(..) | Ty::Any => false,
        _ => true,
    };
    let is_supported = match &usage.ty {
        Ty::List(element, _) => location == Location::Query && !element.is_nullable && is_scalar(&element.ty),
        ty => is_scalar(ty),
    };
    if !is_supported || usage.is_nullable {
        return reader
            .add(schema.position, "only scalars, and in the query lists of them, are supported as parameters");
    }
    let Some(ident) = snake(name) else {
        return reader.add(node.position, format!("`{name}` is no name of a field; it must start with a letter"));
    };
    let doc = first_line(node, &["description"]);
    Some(Parameter { location, field: Field { name: name.to_owned(), ident, doc, usage, is_required } })
}

/// The type of a body in JSON, and whether it has to be there.
fn request_body<'a>(reader: &mut Reader<'a>, node: &'a Node, operation: &str) -> Option<(Ty, bool)> {
    let node = reader.resolve(node, "requestBodies")?;
    reader.object(node, "a request body", &["required", "content"]);
    let content = node.get("content")?;
    let (ty, _) = media(reader, content, &format!("{operation}-body"), &["application/json"])?;
    if !matches!(&ty, Ty::Named(name) if !reader.is_enum(name)) && !matches!(ty, Ty::Map(..)) {
        return reader.add(content.position, "the body of a request must be an object");
    }
    Some((ty, reader.flag(node, "required")))
}

/// The type of a content, and its media type.
fn media<'a>(reader: &mut Reader<'a>, content: &'a Node, name: &str, known: &[&str]) -> Option<(Ty, String)> {
    let [(kind, media)] = reader.entries(content, "`content`")[..] else {
        return reader.add(content.position, format!("`content` must have exactly one of {}", known.join(", ")));
    };
    if !known.contains(&&*kind.name) {
        return reader.add(kind.position, format!("only {} is supported here", known.join(", ")));
    }
    reader.object(media, "a media type", &["schema"]);
    let Some(schema) = media.get("schema") else { return reader.add(media.position, "`schema` is missing") };
    let usage = reader.schema(schema, name)?;
    if usage.is_nullable {
        return reader.add(schema.position, "a body that may be `null` is not supported");
    }
    Some((usage.ty, kind.name.clone()))
}

fn responses<'a>(reader: &mut Reader<'a>, node: &'a Node, operation: &str) -> Vec<Response> {
    let mut found = Vec::new();
    for (key, response) in reader.entries(node, "`responses`") {
        let Some(statuses) = statuses(&key.name) else {
            reader.add::<()>(key.position, "must be a status such as `200`, a class such as `4XX`, or `default`");
            continue;
        };
        let Some(target) = reader.resolve(response, "responses") else { continue };
        reader.object(target, "a response", &["content"]);
        let mut read = Response { statuses, body: None, is_problem: false };
        if let Some(content) = target.get("content").filter(|content| !is_empty(content)) {
            let known = ["application/json", "application/problem+json"];
            let name = format!("{operation}-{}-response", key.name);
            let name = pascal(&name).unwrap_or(name);
            let Some((ty, media)) = media(reader, content, &name, &known) else { continue };
            (read.body, read.is_problem) = (Some(ty), media == known[1]);
        }
        found.push(read);
    }
    found.sort_by_key(|response| response.statuses);
    let is_success = |response: &Response| {
        matches!(response.statuses, Statuses::Exact(200..=299) | Statuses::Class(2) | Statuses::Default)
    };
    if !found.iter().any(is_success) {
        reader.add::<()>(node.position, "there is no response for success");
    }
    found
}

fn is_empty(content: &Node) -> bool {
    matches!(&content.value, crate::yaml::Value::Map(entries) if entries.is_empty())
}

fn statuses(name: &str) -> Option<Statuses> {
    let class = name.strip_suffix("XX").and_then(|class| class.parse().ok()).filter(|class| (2..=5).contains(class));
    match name.parse::<u16>() {
        _ if name == "default" => Some(Statuses::Default),
        Ok(status @ 200..=599) => Some(Statuses::Exact(status)),
        _ => class.map(Statuses::Class),
    }
}

/// The scheme of an operation, or that of the document.
fn security<'a>(reader: &mut Reader<'a>, node: &'a Node, schemes: &[Scheme]) -> Option<usize> {
    let security = node.get("security").or(reader.root.get("security"))?;
    let requirements = reader.list(security, "`security`");
    let requirement = match requirements {
        [] => return None,
        [one] => one,
        _ => return reader.add(security.position, "alternatives in `security` are not supported"),
    };
    match reader.entries(requirement, "a security requirement")[..] {
        [] => None,
        [(key, scopes)] if scopes.elements().is_empty() => {
            let found = schemes.iter().position(|scheme| scheme.name == key.name);
            found.or_else(|| reader.add(key.position, format!("there is no security scheme `{}`", key.name)))
        }
        _ => reader.add(security.position, "only one scheme without scopes is supported in `security`"),
    }
}

/// The names that the generated code has for operations.
fn unique_names(reader: &mut Reader<'_>, operations: &[Operation]) {
    let mut seen = BTreeSet::new();
    for operation in operations {
        let name = pascal(&operation.id).unwrap_or_default();
        let types = [format!("{name}Request"), format!("{name}Response")];
        if let Some(taken) = types.iter().find(|name| reader.types.iter().any(|known| known.name == **name)) {
            let message = format!("the schema `{taken}` has the name of the input or output of `{}`", operation.id);
            reader.add::<()>(operation.position, message);
        }
        if !seen.insert(name) {
            let message = format!("two operations are called `{}` in code", operation.ident);
            reader.add::<()>(operation.position, message);
        }
    }
}

/// The document in JSON, as OpenAPI 3.1.
fn document(root: &Node, is_old: bool) -> String {
    let mut document = root.json();
    if is_old {
        modernize(&mut document);
    }
    complete(&mut document, false);
    document["openapi"] = "3.1.0".into();
    format!("{document:#}\n")
}

/// Adds what readers of the description expect and documents may omit: `required: false` of parameters, and the types of
/// schemas, of which those without any allow every value.
fn complete(value: &mut serde_json::Value, is_schema: bool) {
    match value {
        serde_json::Value::Array(elements) => elements.iter_mut().for_each(|element| complete(element, is_schema)),
        serde_json::Value::Object(fields) => {
            let has = |key: &&str| fields.contains_key(*key);
            let is_text = |key: &str| fields.get(key).is_some_and(serde_json::Value::is_string);
            if is_schema && !["type", "$ref", "allOf", "oneOf", "anyOf"].iter().any(has) {
                let kind = if ["properties", "additionalProperties"].iter().any(has) {
                    "object".into()
                } else if ["enum", "const"].iter().any(has) {
                    "string".into()
                } else {
                    serde_json::json!(["array", "boolean", "null", "number", "object", "string"])
                };
                fields.insert("type".to_owned(), kind);
            } else if is_text("in") && is_text("name") && fields.contains_key("schema") {
                fields.entry("required").or_insert(false.into());
            }
            for (key, value) in fields {
                match (key.as_str(), value) {
                    ("example" | "examples" | "default" | "enum" | "const", _) => {}
                    ("properties" | "schemas", serde_json::Value::Object(schemas)) => {
                        schemas.values_mut().for_each(|schema| complete(schema, true));
                    }
                    ("schema" | "items" | "additionalProperties" | "allOf" | "oneOf" | "anyOf", value) => {
                        complete(value, true);
                    }
                    (_, value) => complete(value, false),
                }
            }
        }
        _ => {}
    }
}

/// Rewrites what schemas of OpenAPI 3.0 have in another way.
fn modernize(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Array(elements) => elements.iter_mut().for_each(modernize),
        serde_json::Value::Object(fields) => {
            fields.values_mut().for_each(modernize);
            if fields.get("nullable").is_some_and(serde_json::Value::is_boolean) {
                let is_nullable = fields.remove("nullable") == Some(true.into());
                if let Some(kind) = fields.get_mut("type").filter(|kind| is_nullable && kind.is_string()) {
                    *kind = serde_json::json!([kind.clone(), "null"]);
                }
            }
            for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
                if fields.get(exclusive).is_some_and(serde_json::Value::is_boolean)
                    && fields.remove(exclusive) == Some(true.into())
                    && let Some(bound) = fields.remove(bound)
                {
                    fields.insert(exclusive.to_owned(), bound);
                }
            }
        }
        _ => {}
    }
}

impl<'a> Reader<'a> {
    /// Reads a schema that others may refer to.
    pub(super) fn component(&mut self, key: &'a Key, node: &'a Node) {
        let folder = if self.is_schema { "#/$defs" } else { "#/components/schemas" };
        let reference = format!("{folder}/{}", key.name);
        if self.known.contains_key(&reference) {
            return;
        }
        self.known.insert(reference.clone(), None);
        if let Some(usage) = self.schema(node, &key.name) {
            self.refuse_null(node.position, usage.is_nullable);
            self.known.insert(reference, Some(usage.ty));
        }
    }

    fn refuse_null(&mut self, position: Position, is_nullable: bool) {
        if is_nullable {
            let message = "a schema that others refer to must not allow `null`; allow it where it is used";
            self.add::<()>(position, message);
        }
    }

    /// Whether a named type is one of several texts.
    fn is_enum(&self, name: &str) -> bool {
        let shape = self.types.iter().find(|known| known.name == name).map(|known| &known.shape);
        matches!(shape, Some(super::Shape::Enum(_)))
    }
}
