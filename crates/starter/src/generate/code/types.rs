//! The types of a document, with serde, and their checks.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::{doc, is_enum, shape};
use crate::contract::names::{float, literal};
use crate::contract::{Api, Bounds, Element, Field, Shape, Ty, TypeDef};

/// All types of a document.
pub(crate) fn types(api: &Api) -> String {
    api.types.iter().map(|known| definition(api, known)).collect()
}

fn definition(api: &Api, known: &TypeDef) -> String {
    let name = &known.name;
    match &known.shape {
        Shape::Enum(variants) => enumeration(known, variants),
        Shape::Object { fields, is_closed } => {
            let closed = if *is_closed { "#[serde(deny_unknown_fields)]\n" } else { "" };
            let text = doc(&known.doc, &format!("The schema `{name}`."));
            let lines: String = fields.iter().map(|field| member(api, name, field)).collect();
            let defaults: String = fields.iter().map(|field| default(name, field)).collect();
            format!(
                "{text}#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]\n{closed}pub struct {name} {{\n{lines}}}\n\n\
                 {defaults}{}",
                validation(api, name, fields)
            )
        }
    }
}

fn enumeration(known: &TypeDef, variants: &[(String, String)]) -> String {
    let name = &known.name;
    let text = doc(&known.doc, &format!("The schema `{name}`."));
    let members = variants.iter().map(|(value, ident)| {
        let rename = if value == ident { String::new() } else { format!("#[serde(rename = {value:?})]\n") };
        format!("/// `{}`\n{rename}{ident},\n", value.replace('`', "'"))
    });
    let texts = variants.iter().map(|(value, ident)| format!("Self::{ident} => {value:?},\n"));
    format!(
        "{text}#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]\npub enum {name} {{\n{}}}\n\n\
         impl {name} {{\n/// The text in the document.\npub const fn as_str(self) -> &'static str {{\nmatch self {{\n{}}}\n}}\n}}\n\n\
         impl Validate for {name} {{}}\n\n",
        members.collect::<String>(),
        texts.collect::<String>()
    )
}

/// A type as code.
pub(crate) fn rust(ty: &Ty) -> String {
    match ty {
        Ty::Text { .. } => "String".to_owned(),
        Ty::Uuid => "uuid::Uuid".to_owned(),
        Ty::Time => "kennel_core::Timestamp".to_owned(),
        Ty::Integer { is_short: true, .. } => "i32".to_owned(),
        Ty::Integer { .. } => "i64".to_owned(),
        Ty::Number { .. } => "f64".to_owned(),
        Ty::Boolean => "bool".to_owned(),
        Ty::Any => "serde_json::Value".to_owned(),
        Ty::List(item, _) => format!("Vec<{}>", element(item)),
        Ty::Map(value, _) => format!("std::collections::BTreeMap<String, {}>", element(value)),
        Ty::Named(name) => name.clone(),
    }
}

fn element(element: &Element) -> String {
    let ty = rust(&element.ty);
    if element.is_nullable { format!("Option<{ty}>") } else { ty }
}

/// The type of a field, in which the types of the module have this prefix.
pub(crate) fn field_type(field: &Field, is_boxed: bool) -> String {
    let mut ty = rust(&field.usage.ty);
    if is_boxed {
        ty = format!("Box<{ty}>");
    }
    for _ in 0..u8::from(field.usage.is_nullable) + u8::from(field.is_optional()) {
        ty = format!("Option<{ty}>");
    }
    ty
}

/// A field of an object.
fn member(api: &Api, owner: &str, field: &Field) -> String {
    let mut attributes = Vec::new();
    if field.name != field.ident.trim_start_matches("r#") {
        attributes.push(format!("rename = {:?}", field.name));
    }
    if field.is_optional() {
        attributes.push("default, skip_serializing_if = \"Option::is_none\"".to_owned());
        attributes.push("deserialize_with = \"kennel_core::contract::present\"".to_owned());
    } else if field.is_required && field.usage.is_nullable {
        attributes.push("deserialize_with = \"Option::deserialize\"".to_owned());
    } else if !field.is_required {
        attributes.push(format!("default = \"{}\"", default_name(owner, field)));
    }
    let serde = if attributes.is_empty() { String::new() } else { format!("#[serde({})]\n", attributes.join(", ")) };
    let is_boxed = matches!(&field.usage.ty, Ty::Named(name) if contains(api, name, owner));
    let text = doc(&field.doc, &format!("The property `{}`.", field.name));
    format!("{text}{serde}pub {}: {},\n", field.ident, field_type(field, is_boxed))
}

/// Whether a value of one type directly contains one of another type, not in a list or map.
fn contains(api: &Api, outer: &str, inner: &str) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), vec![outer]);
    while let Some(name) = next.pop() {
        if name == inner {
            return true;
        }
        if let Some(Shape::Object { fields, .. }) = shape(api, name).filter(|_| seen.insert(name)) {
            next.extend(fields.iter().filter_map(|field| match &field.usage.ty {
                Ty::Named(name) => Some(name.as_str()),
                _ => None,
            }));
        }
    }
    false
}

fn default_name(owner: &str, field: &Field) -> String {
    let owner = crate::contract::names::snake(owner).unwrap_or_default();
    format!("default_{}_{}", owner.trim_start_matches("r#"), field.ident.trim_start_matches("r#"))
}

/// The function of a default, if the field has one and may be absent.
fn default(owner: &str, field: &Field) -> String {
    let Some(value) = field.usage.default.as_ref().filter(|_| !field.is_required) else { return String::new() };
    let value = if field.usage.is_nullable { format!("Some({value})") } else { value.clone() };
    format!("fn {}() -> {} {{\n{value}\n}}\n\n", default_name(owner, field), field_type(field, false))
}

/// The checks of an object's fields.
pub(crate) fn validation(api: &Api, name: &str, fields: &[Field]) -> String {
    let checks: String = fields.iter().map(|field| field_check(api, field)).collect();
    if checks.is_empty() {
        return format!("impl Validate for {name} {{}}\n\n");
    }
    format!("impl Validate for {name} {{\nfn validate(&self, at: &mut Violations) {{\n{checks}}}\n}}\n\n")
}

fn field_check(api: &Api, field: &Field) -> String {
    let levels = u8::from(field.usage.is_nullable) + u8::from(field.is_optional());
    let place = format!("self.{}", field.ident);
    let checks = if levels == 0 {
        check(api, &field.usage.ty, &place, false)
    } else {
        check(api, &field.usage.ty, "value", true)
    };
    if checks.is_empty() {
        return String::new();
    }
    // The body has no name: the paths of its fields are those in the body.
    let checks =
        if field.name.is_empty() { checks } else { format!("at.field({:?}, |at| {{\n{checks}}});\n", field.name) };
    match levels {
        0 => checks,
        1 => format!("if let Some(value) = &{place} {{\n{checks}}}\n"),
        _ => format!("if let Some(Some(value)) = &{place} {{\n{checks}}}\n"),
    }
}

/// The checks of a value: `place` is an expression of its type, or of a reference to it.
fn check(api: &Api, ty: &Ty, place: &str, is_reference: bool) -> String {
    let reference = if is_reference { place.to_owned() } else { format!("&{place}") };
    let value = if is_reference { format!("*{place}") } else { place.to_owned() };
    match ty {
        Ty::Text { length, pattern } => {
            let length = sizes(length).map(|range| format!("at.length({reference}, {range});\n"));
            let pattern = pattern.as_ref().map(|pattern| {
                let name = pattern_name(api, pattern);
                format!(
                    "at.pattern({name}.as_ref().is_some_and(|pattern| pattern.is_match({reference})), {pattern:?});\n"
                )
            });
            length.into_iter().chain(pattern).collect()
        }
        Ty::Integer { range, .. } => {
            let from = range.from.map(|(bound, excluded)| bound.saturating_add(i64::from(excluded)));
            let to = range.to.map(|(bound, excluded)| bound.saturating_sub(i64::from(excluded)));
            let range = inclusive(from.map(literal), to.map(literal));
            range.map(|range| format!("at.range({value}, {range});\n")).unwrap_or_default()
        }
        Ty::Number { range } => {
            numbers(range).map(|range| format!("at.range({value}, {range});\n")).unwrap_or_default()
        }
        Ty::List(element, length) => {
            let count = sizes(length).map(|range| format!("at.count({place}.len(), {range});\n")).unwrap_or_default();
            count + &elements(api, element, &format!("at.each({reference}"))
        }
        Ty::Map(element, size) => {
            let count = sizes(size).map(|range| format!("at.count({place}.len(), {range});\n")).unwrap_or_default();
            count + &elements(api, element, &format!("at.entries({reference}"))
        }
        Ty::Named(name) if !is_enum(api, name) => format!("{place}.validate(at);\n"),
        Ty::Named(_) | Ty::Uuid | Ty::Time | Ty::Boolean | Ty::Any => String::new(),
    }
}

fn elements(api: &Api, element: &Element, call: &str) -> String {
    let checks = check(api, &element.ty, "element", true);
    if checks.is_empty() {
        return checks;
    }
    let checks = if element.is_nullable { format!("if let Some(element) = element {{\n{checks}}}\n") } else { checks };
    format!("{call}, |at, element| {{\n{checks}}});\n")
}

/// A range of lengths; none if everything is allowed.
fn sizes(bounds: &Bounds<u64>) -> Option<String> {
    let text = |bound: (u64, bool)| literal(i64::try_from(bound.0).unwrap_or(i64::MAX));
    inclusive(bounds.from.filter(|(from, _)| *from > 0).map(text), bounds.to.map(text))
}

fn inclusive(from: Option<impl Display>, to: Option<impl Display>) -> Option<String> {
    match (from, to) {
        (None, None) => None,
        (Some(from), None) => Some(format!("{from}..")),
        (None, Some(to)) => Some(format!("..={to}")),
        (Some(from), Some(to)) => Some(format!("{from}..={to}")),
    }
}

fn numbers(range: &Bounds<f64>) -> Option<String> {
    let has_excluded = [range.from, range.to].into_iter().flatten().any(|(_, is_excluded)| is_excluded);
    if !has_excluded {
        return inclusive(range.from.map(|(from, _)| float(from)), range.to.map(|(to, _)| float(to)));
    }
    let bound = |bound: Option<(f64, bool)>| match bound {
        None => "std::ops::Bound::Unbounded".to_owned(),
        Some((number, true)) => format!("std::ops::Bound::Excluded({})", float(number)),
        Some((number, false)) => format!("std::ops::Bound::Included({})", float(number)),
    };
    Some(format!("({}, {})", bound(range.from), bound(range.to)))
}

/// The patterns of a document, each compiled once.
pub(crate) fn patterns(api: &Api) -> String {
    let statics = all_patterns(api).into_iter().enumerate().map(|(index, pattern)| {
        format!(
            "static PATTERN_{}: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new({pattern:?}).ok());\n\n",
            index + 1
        )
    });
    statics.collect()
}

fn pattern_name(api: &Api, pattern: &str) -> String {
    let index = all_patterns(api).iter().position(|known| known == pattern).unwrap_or_default();
    format!("PATTERN_{}", index + 1)
}

fn all_patterns(api: &Api) -> Vec<String> {
    fn collect(ty: &Ty, found: &mut Vec<String>) {
        match ty {
            Ty::Text { pattern: Some(pattern), .. } if !found.contains(pattern) => found.push(pattern.clone()),
            Ty::List(element, _) | Ty::Map(element, _) => collect(&element.ty, found),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for known in &api.types {
        if let Shape::Object { fields, .. } = &known.shape {
            for field in fields {
                collect(&field.usage.ty, &mut found);
            }
        }
    }
    for operation in &api.operations {
        let parameters = operation.parameters.iter().map(|parameter| &parameter.field.usage.ty);
        let bodies = operation.body.iter().map(|(ty, _)| ty);
        parameters.chain(bodies).for_each(|ty| collect(ty, &mut found));
    }
    found
}
