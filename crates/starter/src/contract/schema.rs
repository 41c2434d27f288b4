//! Schemas: of OpenAPI 3.0, and of JSON Schema 2020-12, which OpenAPI 3.1 has.

use super::names::{pascal, snake};
use super::reader::Reader;
use super::{Bounds, Element, Field, Shape, Ty, TypeDef, Usage, first_line};
use crate::yaml::{Node, Value};

/// Names of types that the generated code uses for something else.
const RESERVED: &[&str] = &[
    "Any",
    "Box",
    "Clone",
    "Copy",
    "Debug",
    "Default",
    "Deserialize",
    "Drop",
    "Eq",
    "Err",
    "Failure",
    "Fn",
    "From",
    "Into",
    "Iterator",
    "LazyLock",
    "None",
    "Ok",
    "Option",
    "Ord",
    "PartialEq",
    "Principal",
    "Regex",
    "Result",
    "Send",
    "Serialize",
    "Some",
    "String",
    "Sync",
    "Validate",
    "Vec",
    "Violations",
];

/// Keywords of every schema that are read before the type is known.
const COMMON: &[&str] = &["type", "format", "nullable", "default"];

impl<'a> Reader<'a> {
    /// The type of a schema. `name` is that of its type, if it needs one.
    pub(crate) fn schema(&mut self, node: &'a Node, name: &str) -> Option<Usage> {
        if !matches!(node.value, Value::Map(_)) {
            return self.add(node.position, "a schema must be an object");
        }
        if node.get("$ref").is_some() {
            return Some(Usage { ty: self.reference(node)?, is_nullable: false, default: None });
        }
        if let Some(usage) = self.combined(node, name) {
            return usage;
        }
        let (kind, is_nullable) = self.kind(node)?;
        let ty = match kind.as_str() {
            "string" if node.get("enum").is_some() || node.get("const").is_some() => {
                self.enumeration(node, name, is_nullable)?
            }
            "string" => self.string(node)?,
            "integer" => self.integer(node)?,
            "number" => {
                self.object(node, "a number", &[COMMON, RANGE].concat());
                self.formats(node, &["float", "double"]);
                Ty::Number { range: self.range(node) }
            }
            "boolean" => {
                self.object(node, "a truth value", COMMON);
                Ty::Boolean
            }
            "array" => self.array(node, name)?,
            "object" => self.map_or_object(node, name)?,
            "" => {
                self.object(node, "a schema without `type`", &["nullable"]);
                return Some(Usage { ty: Ty::Any, is_nullable: false, default: None });
            }
            other => return self.add(node.position, format!("the type `{other}` is not supported")),
        };
        let default = match node.get("default") {
            Some(value) if value.is_null() && is_nullable => None,
            Some(value) => Some(self.default(value, &ty)?),
            None => None,
        };
        Some(Usage { ty, is_nullable, default })
    }

    /// The type, and whether `null` is allowed, too.
    fn kind(&mut self, node: &'a Node) -> Option<(String, bool)> {
        let nullable = self.flag(node, "nullable");
        if let Some(key) = node.get("nullable").filter(|_| !self.is_old) {
            return self.add(key.position, "`nullable` is OpenAPI 3.0; use the type `\"null\"`");
        }
        let Some(kind) = node.get("type") else {
            let is_object = node.get("properties").is_some() || node.get("additionalProperties").is_some();
            let is_text = node.get("const").is_some() || node.get("enum").is_some();
            let kind = if is_object {
                "object"
            } else if is_text {
                "string"
            } else {
                ""
            };
            return Some((kind.to_owned(), nullable));
        };
        if let Some(kind) = kind.text() {
            return Some((kind.to_owned(), nullable));
        }
        let kinds: Option<Vec<_>> = kind.elements().iter().map(Node::text).collect();
        match kinds.as_deref() {
            Some([one]) if !self.is_old => Some(((*one).to_owned(), false)),
            Some([one, "null"] | ["null", one]) if !self.is_old => Some(((*one).to_owned(), true)),
            _ => self.add(kind.position, "only one type, in OpenAPI 3.1 also with `\"null\"`, is supported"),
        }
    }

    /// `allOf`, `oneOf`, `anyOf`; nothing if there is none.
    #[expect(clippy::option_option, reason = "nothing, a problem that was reported, and a type are different")]
    fn combined(&mut self, node: &'a Node, name: &str) -> Option<Option<Usage>> {
        if node.get("allOf").is_some() {
            return Some(self.all_of(node, name));
        }
        let key = ["oneOf", "anyOf"].into_iter().find(|key| node.get(key).is_some())?;
        let options = node.get(key)?;
        self.object(node, &format!("a schema with `{key}`"), &[key]);
        let is_null = |option: &Node| option.get("type").and_then(Node::text) == Some("null");
        Some(match options.elements() {
            [one, null] | [null, one] if is_null(null) => {
                self.schema(one, name).map(|usage| Usage { is_nullable: true, ..usage })
            }
            _ => self.add(options.position, format!("`{key}` is only supported for a schema and `null`")),
        })
    }

    /// One schema with annotations, or objects whose fields are put together.
    fn all_of(&mut self, node: &'a Node, name: &str) -> Option<Usage> {
        let all = node.get("allOf")?;
        let own = ["type", "properties", "required", "additionalProperties"];
        self.object(node, "a schema with `allOf`", &[&["allOf", "nullable"], &own[..]].concat());
        let is_nullable = self.flag(node, "nullable");
        if let ([one], None) = (all.elements(), node.get("properties")) {
            let usage = self.schema(one, name)?;
            return Some(Usage { is_nullable: is_nullable || usage.is_nullable, ..usage });
        }
        let mut fields: Vec<Field> = Vec::new();
        for element in self.list(all, "`allOf`") {
            fields.extend(self.inherited(element, name)?);
        }
        if node.get("properties").is_some() {
            fields.extend(self.fields(node, name));
        }
        // A later schema may only add a requirement.
        let mut merged: Vec<Field> = Vec::new();
        for field in fields {
            if let Some(known) = merged.iter_mut().find(|known| known.name == field.name) {
                if known.usage.ty != field.usage.ty {
                    return self.add(all.position, format!("`{}` has two types in `allOf`", field.name));
                }
                known.is_required |= field.is_required;
            } else {
                merged.push(field);
            }
        }
        let ty = self.define(node, name, |_, _| Some(Shape::Object { fields: merged, is_closed: false }))?;
        Some(Usage { ty, is_nullable, default: None })
    }

    /// The fields that a schema in `allOf` adds.
    fn inherited(&mut self, element: &'a Node, name: &str) -> Option<Vec<Field>> {
        if element.get("$ref").is_none() {
            let kind = element.get("type").and_then(Node::text).unwrap_or("object");
            if kind != "object" || element.get("additionalProperties").is_some() {
                return self.add(element.position, "only open objects are supported in `allOf`");
            }
            self.object(element, "an object in `allOf`", &["type", "properties", "required"]);
            return Some(self.fields(element, name));
        }
        let Ty::Named(base) = self.reference(element)? else {
            return self.add(element.position, "only objects are supported in `allOf`");
        };
        match self.types.iter().find(|known| known.name == base).map(|known| known.shape.clone()) {
            Some(Shape::Object { fields, is_closed: false }) => Some(fields),
            _ => self.add(element.position, "only open objects that do not contain this one are supported in `allOf`"),
        }
    }

    /// The type that a reference refers to.
    fn reference(&mut self, node: &'a Node) -> Option<Ty> {
        let target = self.resolve(node, "schemas")?;
        let reference = node.get("$ref")?;
        let path = reference.text()?.to_owned();
        let key = path.rsplit('/').next()?;
        match self.known.get(&path) {
            Some(Some(ty)) => return Some(ty.clone()),
            Some(None) => {
                // An object that contains itself has its name before its fields are read.
                let name = pascal(key)?;
                return if self.types.iter().any(|known| known.name == name) {
                    Some(Ty::Named(name))
                } else {
                    self.add(reference.position, "a schema that only consists of itself is not supported")
                };
            }
            None => {}
        }
        self.known.insert(path.clone(), None);
        let usage = self.schema(target, key)?;
        if usage.is_nullable {
            return self.add(
                target.position,
                "a schema that others refer to must not allow `null`; allow it where it is used",
            );
        }
        self.known.insert(path, Some(usage.ty.clone()));
        Some(usage.ty)
    }

    /// Defines a type with a name. Its shape may refer to it.
    fn define(
        &mut self,
        node: &'a Node,
        name: &str,
        shape: impl FnOnce(&mut Self, &str) -> Option<Shape>,
    ) -> Option<Ty> {
        let Some(name) = pascal(name) else {
            return self.add(node.position, format!("`{name}` is no name of a type; it must start with a letter"));
        };
        if RESERVED.contains(&&*name) {
            return self.add(node.position, format!("`{name}` has another meaning in the generated code"));
        }
        if self.types.iter().any(|known| known.name == name) {
            return self.add(node.position, format!("the name `{name}` is already that of another schema"));
        }
        let index = self.types.len();
        let placeholder = Shape::Enum(Vec::new());
        let doc = first_line(node, &["description", "title"]);
        self.types.push(TypeDef { position: node.position, name: name.clone(), doc, shape: placeholder });
        let shape = shape(self, &name)?;
        self.types[index].shape = shape;
        Some(Ty::Named(name))
    }

    fn map_or_object(&mut self, node: &'a Node, name: &str) -> Option<Ty> {
        let additional = node.get("additionalProperties");
        if node.get("properties").is_some() {
            let supported = [COMMON, &["properties", "required", "additionalProperties"]].concat();
            self.object(node, "an object with `properties`", &supported);
            let is_closed = match additional {
                None => false,
                Some(flag) if flag.boolean().is_some() => flag.boolean() == Some(false),
                Some(other) => {
                    let message = "`additionalProperties` next to `properties` must be true or false";
                    return self.add(other.position, message);
                }
            };
            return self.define(node, name, |reader, name| {
                Some(Shape::Object { fields: reader.fields(node, name), is_closed })
            });
        }
        let supported = [COMMON, &["additionalProperties", "minProperties", "maxProperties"]].concat();
        self.object(node, "an object without `properties`", &supported);
        let element = match additional {
            Some(schema) if schema.boolean().is_none() => {
                let Usage { ty, is_nullable, .. } = self.schema(schema, &format!("{name}-value"))?;
                Element { ty, is_nullable }
            }
            Some(closed) if closed.boolean() == Some(false) => {
                return self.define(node, name, |_, _| Some(Shape::Object { fields: Vec::new(), is_closed: true }));
            }
            _ => Element { ty: Ty::Any, is_nullable: false },
        };
        Some(Ty::Map(Box::new(element), self.sizes(node, "minProperties", "maxProperties")))
    }

    fn fields(&mut self, node: &'a Node, parent: &str) -> Vec<Field> {
        let properties = node.get("properties").map(|node| self.entries(node, "`properties`")).unwrap_or_default();
        let required = node.get("required").map(|node| self.list(node, "`required`")).unwrap_or_default();
        for name in required {
            if !properties.iter().any(|(key, _)| Some(key.name.as_str()) == name.text()) {
                self.add::<()>(name.position, "a required property must be in `properties`");
            }
        }
        let mut fields: Vec<Field> = Vec::new();
        for (key, property) in properties {
            let Some(ident) = snake(&key.name) else {
                self.add::<()>(
                    key.position,
                    format!("`{}` is no name of a field; it must start with a letter", key.name),
                );
                continue;
            };
            if let Some(other) = fields.iter().find(|field| field.ident == ident) {
                let message = format!("`{}` and `{}` are the same name in code", other.name, key.name);
                self.add::<()>(key.position, message);
            }
            for access in ["readOnly", "writeOnly"] {
                if let Some(value) = property.get(access).filter(|value| value.boolean() != Some(false)) {
                    let message =
                        format!("`{access}` is not supported; use a schema for requests and one for responses");
                    self.add::<()>(value.position, message);
                }
            }
            let is_required = required.iter().any(|name| name.text() == Some(&key.name));
            let Some(usage) = self.schema(property, &format!("{parent}-{}", key.name)) else { continue };
            let doc = first_line(property, &["description", "title"]);
            fields.push(Field { name: key.name.clone(), ident, doc, usage, is_required });
        }
        fields
    }

    fn enumeration(&mut self, node: &'a Node, name: &str, is_nullable: bool) -> Option<Ty> {
        self.object(node, "a list of texts", &[COMMON, &["enum", "const"]].concat());
        let values = match (node.get("enum"), node.get("const")) {
            (Some(values), None) => self.list(values, "`enum`").iter().collect(),
            (None, Some(value)) => vec![value],
            _ => return self.add(node.position, "`enum` and `const` are not supported together"),
        };
        let mut variants: Vec<(String, String)> = Vec::new();
        for value in values {
            if value.is_null() && is_nullable {
                continue;
            }
            let text = match &value.value {
                Value::Scalar(text, is_plain) if !is_plain || matches!(value.json(), serde_json::Value::String(_)) => {
                    text
                }
                _ => return self.add(value.position, "only texts are supported in `enum`"),
            };
            let Some(ident) = variant(text).filter(|ident| variants.iter().all(|(_, known)| known != ident)) else {
                return self.add(value.position, format!("`{text}` has no name of its own in code"));
            };
            variants.push((text.clone(), ident));
        }
        if variants.is_empty() {
            return self.add(node.position, "`enum` must have at least one text");
        }
        self.define(node, name, |_, _| Some(Shape::Enum(variants)))
    }

    fn string(&mut self, node: &'a Node) -> Option<Ty> {
        self.object(node, "a text", &[COMMON, &["minLength", "maxLength", "pattern"]].concat());
        self.formats(node, &["uuid", "date-time"]);
        let length = self.sizes(node, "minLength", "maxLength");
        let pattern = match node.get("pattern") {
            Some(pattern) => Some(self.pattern(pattern)?),
            None => None,
        };
        let format = node.get("format").and_then(Node::text);
        if format.is_some() && (pattern.is_some() || !length.is_none()) {
            return self.add(node.position, "a text with `format` must not have a length or a pattern");
        }
        Some(match format {
            Some("uuid") => Ty::Uuid,
            Some("date-time") => Ty::Time,
            _ => Ty::Text { length, pattern },
        })
    }

    fn pattern(&mut self, node: &'a Node) -> Option<String> {
        let pattern = self.text(node, "`pattern`")?;
        let mut chars = pattern.chars();
        while let Some(char) = chars.next() {
            let escaped = if char == '\\' { chars.next() } else { None };
            if let Some(escaped) = escaped.filter(char::is_ascii_alphanumeric) {
                let message = format!(
                    "`\\{escaped}` has no meaning that all validators share; write the characters, such as `[0-9]`"
                );
                return self.add(node.position, message);
            }
        }
        match regex::Regex::new(pattern) {
            Ok(_) => Some(pattern.to_owned()),
            Err(_) => self.add(node.position, "the pattern is invalid, or has lookaround or back references"),
        }
    }

    fn integer(&mut self, node: &'a Node) -> Option<Ty> {
        self.object(node, "a whole number", &[COMMON, RANGE].concat());
        self.formats(node, &["int32", "int64"]);
        let is_short = node.get("format").and_then(Node::text) == Some("int32");
        let range = self.range::<i64>(node);
        let bounds = [range.from, range.to].into_iter().flatten();
        if is_short && bounds.into_iter().any(|(bound, _)| i32::try_from(bound).is_err()) {
            return self.add(node.position, "a bound is out of the range of `int32`");
        }
        Some(Ty::Integer { is_short, range })
    }

    fn array(&mut self, node: &'a Node, name: &str) -> Option<Ty> {
        self.object(node, "a list", &[COMMON, &["items", "minItems", "maxItems"]].concat());
        let Some(items) = node.get("items") else { return self.add(node.position, "a list needs `items`") };
        let Usage { ty, is_nullable, .. } = self.schema(items, &format!("{name}-item"))?;
        Some(Ty::List(Box::new(Element { ty, is_nullable }), self.sizes(node, "minItems", "maxItems")))
    }

    fn formats(&mut self, node: &'a Node, known: &[&str]) {
        let Some(format) = node.get("format") else { return };
        if !format.text().is_some_and(|format| known.contains(&format)) {
            let message = format!("only the formats {} are supported here", known.join(", "));
            self.add::<()>(format.position, message);
        }
    }

    fn sizes(&mut self, node: &'a Node, from: &str, to: &str) -> Bounds<u64> {
        let bound = |number: Option<u64>| number.map(|number| (number, false));
        Bounds { from: bound(self.number(node, from)), to: bound(self.number(node, to)) }
    }

    fn range<N: std::str::FromStr>(&mut self, node: &'a Node) -> Bounds<N> {
        let from = self.bound(node, "minimum", "exclusiveMinimum");
        Bounds { from, to: self.bound(node, "maximum", "exclusiveMaximum") }
    }

    /// In OpenAPI 3.0, the exclusive bound is a truth value.
    fn bound<N: std::str::FromStr>(&mut self, node: &'a Node, key: &str, exclusive: &str) -> Option<(N, bool)> {
        if self.is_old {
            let is_exclusive = self.flag(node, exclusive);
            return self.number(node, key).map(|number| (number, is_exclusive));
        }
        match (node.get(key), node.get(exclusive)) {
            (Some(_), Some(other)) => {
                self.add(other.position, format!("`{key}` and `{exclusive}` are not supported together"))
            }
            (None, Some(_)) => self.number(node, exclusive).map(|number| (number, true)),
            _ => self.number(node, key).map(|number| (number, false)),
        }
    }

    /// A default as code.
    fn default(&mut self, node: &'a Node, ty: &Ty) -> Option<String> {
        let json = node.json();
        let code = match (ty, &json) {
            (Ty::Text { .. }, serde_json::Value::String(text)) => Some(format!("{text:?}.to_owned()")),
            (Ty::Integer { .. }, serde_json::Value::Number(number)) => number.as_i64().map(super::names::literal),
            (Ty::Number { .. }, serde_json::Value::Number(number)) => number.as_f64().map(super::names::float),
            (Ty::Boolean, serde_json::Value::Bool(flag)) => Some(flag.to_string()),
            (Ty::Named(name), serde_json::Value::String(text)) => {
                self.types.iter().find(|known| known.name == *name).and_then(|known| match &known.shape {
                    Shape::Enum(variants) => {
                        let (_, ident) = variants.iter().find(|(value, _)| value == text)?;
                        Some(format!("{name}::{ident}"))
                    }
                    Shape::Object { .. } => None,
                })
            }
            _ => None,
        };
        match code {
            Some(code) => Some(code),
            None => self.add(node.position, "this default is not supported for the type"),
        }
    }
}

/// The name of a text of an enumeration in code: also `-created_at` and `2xl` have one.
fn variant(text: &str) -> Option<String> {
    match text.strip_prefix('-') {
        Some(rest) => pascal(&format!("minus-{rest}")),
        None => pascal(text).or_else(|| pascal(&format!("value-{text}"))).filter(|name| name != "Value"),
    }
}

const RANGE: &[&str] = &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];
