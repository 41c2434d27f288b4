//! Metadata of a setting, from the JSON Schema of its section.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::section::Section;
use crate::value::Kind;

/// One setting.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// Name in its section.
    pub(crate) name: String,
    /// Name in files, such as `server_port`: that in its section, after the prefix of the section if it has one.
    pub(crate) key: String,
    /// Name in the environment, such as `SERVER_PORT`.
    pub(crate) variable: String,
    pub(crate) description: String,
    pub(crate) kind: Kind,
    pub(crate) secret: bool,
    pub(crate) default: Option<Value>,
}

impl Field {
    /// Creates an optional text.
    pub(crate) fn text(key: String, description: String) -> Self {
        let variable = key.to_ascii_uppercase();
        Self { name: key.clone(), key, variable, description, kind: Kind::Text(None), secret: false, default: None }
    }

    /// Returns the key of the path of a file that contains the secret.
    pub(crate) fn file_key(&self) -> String {
        format!("{}_file", self.key)
    }
}

/// Returns the settings of a section, by key, which starts with `prefix`.
pub(crate) fn fields<S: Section>(prefix: &str) -> Vec<Field> {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<S>().to_value();
    let defaults = serde_json::to_value(S::default()).unwrap_or_default();
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Vec::new() };
    properties.iter().map(|(name, schema)| field(prefix, name, schema, &defaults)).collect()
}

fn field(prefix: &str, name: &str, schema: &Value, defaults: &Value) -> Field {
    let key = format!("{prefix}{name}");
    let text = |name| schema.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Field {
        name: name.to_owned(),
        variable: key.to_ascii_uppercase(),
        key,
        description: text("description"),
        kind: kind(schema),
        secret: is_secret(schema),
        default: defaults.get(name).filter(|value| !value.is_null()).cloned(),
    }
}

fn is_secret(schema: &Value) -> bool {
    schema.get("writeOnly").and_then(Value::as_bool) == Some(true) || alternatives(schema).any(is_secret)
}

fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|name| schema.get(name)?.as_array()).flatten()
}

fn kind(schema: &Value) -> Kind {
    let choices = choices(schema);
    if !choices.is_empty() {
        return Kind::Choice(choices);
    }
    let Some(object) = schema.as_object() else { return Kind::Text(None) };
    match type_name(object) {
        Some("integer") => integer(object),
        Some("number") => Kind::Number,
        Some("boolean") => Kind::Boolean,
        Some("array") => Kind::List(Box::new(object.get("items").map_or(Kind::Text(None), kind))),
        Some(_) => Kind::Text(syntax(object)),
        None => alternatives(schema).find(|inner| !is_null(inner)).map_or(Kind::Text(None), kind),
    }
}

/// Returns the name of the syntax of a type that is parsed from text.
fn syntax(schema: &Map<String, Value>) -> Option<String> {
    let text = |name| schema.get(name).and_then(Value::as_str);
    if text("format") == Some("uri") { Some("URL".to_owned()) } else { text("title").map(str::to_owned) }
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

fn type_name(schema: &Map<String, Value>) -> Option<&str> {
    match schema.get("type")? {
        Value::String(name) => Some(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|&name| name != "null"),
        _ => None,
    }
}

fn integer(schema: &Map<String, Value>) -> Kind {
    let (low, high) = match schema.get("format").and_then(Value::as_str) {
        Some("uint32") => (0, i128::from(u32::MAX)),
        Some("int32") => (i128::from(i32::MIN), i128::from(i32::MAX)),
        Some("uint64" | "uint") => (0, i128::from(u64::MAX)),
        _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
    };
    let bound = |name| {
        let value = schema.get(name)?;
        value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))
    };
    Kind::Integer { min: bound("minimum").unwrap_or(low), max: bound("maximum").unwrap_or(high) }
}

/// Returns the values of an enum, with documented or undocumented variants.
fn choices(schema: &Value) -> Vec<String> {
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let own: Vec<_> = listed.chain(schema.get("const")).filter_map(Value::as_str).map(str::to_owned).collect();
    if own.is_empty() { alternatives(schema).flat_map(choices).collect() } else { own }
}
