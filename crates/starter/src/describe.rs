//! The table of keys, for editors and readers.

use serde_json::{Map, Value as Json, json};

use crate::check::{expected, nearest};
use crate::spec::{self, Key, Kind};

/// The files that `kennel` reads: the name of the schema, the title, and what the file may contain.
pub const FILES: &[(&str, &str, Kind)] = &[
    ("kennel", "kennel.yaml", spec::ROOT),
    ("commands", "Commands of `cli`", spec::COMMANDS),
    ("queue", "Tasks of a `queue`", spec::QUEUE),
];

/// Where the schema of a file is published.
pub fn schema_file(name: &str) -> String {
    format!("api/starter/{name}.schema.json")
}

/// The JSON Schema of one of the [`FILES`].
pub fn json_schema((name, title, kind): &(&str, &str, Kind)) -> String {
    let mut schema = value_schema(kind);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["$id"] = format!("{name}.schema.json").into();
    schema["title"] = (*title).into();
    format!("{schema:#}\n")
}

fn value_schema(kind: &Kind) -> Json {
    match kind {
        Kind::Text => json!({ "type": "string", "minLength": 1, "pattern": "^[^\\u0000-\\u001f]*$" }),
        Kind::Name => json!({ "type": "string", "pattern": spec::NAME_PATTERN, "maxLength": spec::MAX_NAME }),
        Kind::Word => json!({ "type": "string", "pattern": spec::WORD_PATTERN, "maxLength": spec::MAX_NAME }),
        Kind::Duration => json!({ "type": "string", "pattern": spec::DURATION_PATTERN }),
        Kind::True => json!({ "const": true }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Scalar => json!({ "type": ["boolean", "number", "string"] }),
        Kind::Integer(from, to) => json!({ "type": "integer", "minimum": from, "maximum": to }),
        Kind::Choice(choices) => {
            let options: Vec<_> =
                choices.iter().map(|choice| json!({ "const": choice.value, "description": choice.doc })).collect();
            json!({ "oneOf": options })
        }
        Kind::List(element, at_least) => {
            json!({ "type": "array", "items": value_schema(element), "minItems": at_least })
        }
        Kind::Section(keys) => {
            let properties: Map<_, _> = keys.iter().map(|key| (key.name.to_owned(), key_schema(key))).collect();
            let required: Vec<_> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
            json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
        }
    }
}

fn key_schema(key: &Key) -> Json {
    let mut schema = value_schema(&key.kind);
    schema["description"] = key.doc.into();
    schema
}

/// All keys of a file with their paths, such as `rest[].port`, in the order of the table.
fn keys(kind: &Kind) -> Vec<(String, &'static Key)> {
    fn collect(prefix: &str, kind: &Kind, found: &mut Vec<(String, &'static Key)>) {
        match kind {
            Kind::Section(keys) => {
                for key in *keys {
                    let path = format!("{prefix}{}", key.name);
                    found.push((path.clone(), key));
                    let below =
                        if matches!(key.kind, Kind::List(..)) { format!("{path}[].") } else { format!("{path}.") };
                    collect(&below, &key.kind, found);
                }
            }
            Kind::List(element, _) => collect(prefix, element, found),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect("", kind, &mut found);
    found
}

/// What a key is, by its path: `rest.port` is the same as `rest[].port`. The error names the nearest one.
pub fn explain(path: &str) -> Result<String, String> {
    let wanted = path.replace("[]", "");
    let keys: Vec<_> = FILES.iter().flat_map(|(_, _, kind)| keys(kind)).collect();
    let Some((path, key)) = keys.iter().find(|(known, _)| known.replace("[]", "") == wanted) else {
        let known: Vec<_> = keys.iter().map(|(known, _)| known.as_str()).collect();
        let hint = nearest(path, &known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Err(format!("there is no key `{path}`{hint}"));
    };
    let options = choices(&key.kind).into_iter().map(|(value, doc)| format!("  {value:<12} {doc}"));
    let below = keys.iter().filter(|(other, _)| is_below(other, path));
    let below = below.map(|(path, key)| format!("  {path:<32} {}", facts(key)));
    let mut lines = vec![format!("{path}: {}", facts(key)), String::new(), key.doc.to_owned(), String::new()];
    lines.extend(options.chain(below));
    Ok(lines.join("\n").trim_end().to_owned() + "\n")
}

fn is_below(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.starts_with(['.', '[']))
}

fn choices(kind: &Kind) -> Vec<(&'static str, &'static str)> {
    match kind {
        Kind::Choice(choices) => choices.iter().map(|choice| (choice.value, choice.doc)).collect(),
        Kind::List(element, _) => choices(element),
        _ => Vec::new(),
    }
}

/// Type, and whether a value is required or what it is by default.
fn facts(key: &Key) -> String {
    let kind = match &key.kind {
        Kind::List(element, _) if !matches!(element, Kind::Section(_)) => format!("a list, each {}", expected(element)),
        kind => expected(kind),
    };
    match (key.required, key.default) {
        (true, _) => format!("{kind}; required"),
        (false, "") => kind,
        (false, default) => format!("{kind}; default `{default}`"),
    }
}

/// The reference of all keys, as Markdown.
pub fn reference() -> String {
    let row = |(path, key): (String, &Key)| {
        let options: Vec<_> = choices(&key.kind).iter().map(|(value, doc)| format!(" `{value}`: {doc}")).collect();
        format!("| `{path}` | {} | {}{} |\n", facts(key), key.doc, options.concat())
    };
    let section = |(name, title, kind): &(&str, &str, Kind)| {
        let rows: String = keys(kind).into_iter().map(row).collect();
        let heading = if *name == "kennel" { String::new() } else { format!("\n## {title}\n\n") };
        format!("{heading}| key | value | meaning |\n|---|---|---|\n{rows}")
    };
    format!("{REFERENCE}{}", FILES.iter().map(section).collect::<String>())
}

const REFERENCE: &str = "\
# Reference of kennel.yaml

Generated from the table in `crates/starter/src/spec.rs` by `make generate`; do not edit. `kennel explain KEY` prints an entry, and
`api/starter/kennel.schema.json` is the same for editors. Unknown keys, and values for which nothing is generated, are errors.

";
