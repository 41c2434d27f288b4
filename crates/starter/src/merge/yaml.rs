//! Merge of YAML and JSON by key: puts the text of keys and elements together, those of the user and the new ones of the
//! generator, so that comments, order and spelling remain.

mod children;

use std::ops::Range;

use children::{Child, Part};

use crate::yaml::{self, Node, Value};

pub(super) fn is_valid(text: &str) -> bool {
    yaml::parse(text).is_ok()
}

pub(super) fn is_valid_json(text: &str) -> bool {
    // The second one refuses a key that is there twice.
    serde_json::from_str::<serde_json::Value>(text).is_ok() && is_valid(text)
}

/// Whether the values are equal; the order of keys and elements does not count.
pub(super) fn is_equal(one: &str, other: &str) -> bool {
    let sorted = |text: &str| yaml::parse(text).map(|root| sorted(root.json())).ok();
    sorted(one) == sorted(other)
}

fn sorted(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Array(elements) => {
            let mut elements: Vec<_> = elements.into_iter().map(sorted).collect();
            elements.sort_by_key(ToString::to_string);
            elements.into()
        }
        serde_json::Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            fields.into_iter().collect::<serde_json::Map<_, _>>().into()
        }
        scalar => scalar,
    }
}

/// Applies what changed from `base` to `theirs` to `ours`. `None` if both changed the same key or element, if a list has
/// elements without a name, or if one text uses what is not read here, such as anchors.
pub(super) fn merge(base: &str, ours: &str, theirs: &str) -> Option<String> {
    let [base_root, ours_root, theirs_root] =
        [yaml::parse(base).ok()?, yaml::parse(ours).ok()?, yaml::parse(theirs).ok()?];
    let base = Part::root(base, &base_root);
    let theirs = Part::root(theirs, &theirs_root);
    let part = Part::root(ours, &ours_root);
    let range = part.range()?;
    let merged = format!("{}{}{}", &ours[..range.start], value(Some(base), part, theirs)?, &ours[range.end..]);
    is_valid(&merged).then_some(merged)
}

/// The new text of a value that both sides changed, or that both added if there is no `base`.
fn value(base: Option<Part<'_>>, ours: Part<'_>, theirs: Part<'_>) -> Option<String> {
    match (&ours.node.value, &theirs.node.value) {
        (Value::Map(_), Value::Map(_)) | (Value::List(_), Value::List(_)) => {
            let base = match base {
                Some(base) if children::is_same_kind(base.node, ours.node) => base.children()?,
                Some(_) => return None,
                None => Vec::new(),
            };
            collection(&base, ours, theirs)
        }
        // What the user wrote next to the old value remains.
        (Value::Scalar(..), Value::Scalar(..)) if base.is_some_and(|base| equal(base.node, ours.node)) => {
            let text = theirs.text.get(theirs.range()?)?;
            let is_line = |text: &str| !text.is_empty() && !text.contains('\n');
            (is_line(text) && is_line(ours.text.get(ours.range()?)?)).then(|| text.to_owned())
        }
        _ => None,
    }
}

fn equal(one: &Node, other: &Node) -> bool {
    one.json() == other.json()
}

/// A child of the result.
struct Merged {
    id: String,
    text: String,
    /// Its index in the user's collection, if it is there.
    ours: Option<usize>,
}

fn collection(base: &[Child<'_>], ours: Part<'_>, theirs: Part<'_>) -> Option<String> {
    let (ours_children, theirs_children) = (ours.children()?, theirs.children()?);
    if ours.node.is_flow != theirs.node.is_flow {
        return None;
    }
    let is_list = matches!(ours.node.value, Value::List(_));
    if is_list && (is_reordered(base, &theirs_children) || is_replaced(base, &ours_children, &theirs_children)) {
        return None;
    }
    let mut merged = Vec::new();
    for (index, child) in ours_children.iter().enumerate() {
        let (before, after) = (find(base, &child.id), find(&theirs_children, &child.id));
        if let Some(text) = child_text(before, child, after)? {
            merged.push(Merged { id: child.id.clone(), text, ours: Some(index) });
        }
    }
    for (index, child) in theirs_children.iter().enumerate() {
        if find(&ours_children, &child.id).is_some() {
            continue;
        }
        match find(base, &child.id) {
            Some(before) if equal(before.part.node, child.part.node) => {}
            // The user removed what the generator changed.
            Some(_) => return None,
            None => {
                let is_inline = ours_children.first().is_some_and(|first| first.is_inline);
                let at = position(&merged, &theirs_children[..index], is_inline);
                let text = added_text(child, ours_children.first())?;
                merged.insert(at, Merged { id: child.id.clone(), text, ours: None });
            }
        }
    }
    if ours.node.is_flow {
        return flow(&merged, ours, theirs);
    }
    // Without brackets, nothing is not an empty collection.
    (!merged.is_empty()).then(|| block(&merged))
}

fn find<'c, 't>(children: &'c [Child<'t>], id: &str) -> Option<&'c Child<'t>> {
    children.iter().find(|child| child.id == id)
}

/// Whether the generator changed the order of elements.
fn is_reordered(base: &[Child<'_>], theirs: &[Child<'_>]) -> bool {
    let common = |children: &[Child<'_>], other: &[Child<'_>]| -> Vec<String> {
        children.iter().filter(|child| find(other, &child.id).is_some()).map(|child| child.id.clone()).collect()
    };
    common(base, theirs) != common(theirs, base)
}

/// Whether both sides put another element in the place of one: those can be two values of the same element.
fn is_replaced(base: &[Child<'_>], ours: &[Child<'_>], theirs: &[Child<'_>]) -> bool {
    let is_in = |children: &[Child<'_>], child: &Child<'_>| find(children, &child.id).is_some();
    let has_own = |children: &[Child<'_>], others: &[Child<'_>]| {
        children.iter().any(|child| !is_in(base, child) && !is_in(others, child))
    };
    let is_removed = base.iter().any(|child| !is_in(ours, child) && !is_in(theirs, child));
    is_removed && has_own(ours, theirs) && has_own(theirs, ours)
}

/// The text of the user's child after the merge: `Some(None)` if it is removed, `None` if it is a conflict.
#[expect(clippy::option_option, reason = "a child can be removed, and a conflict has no result")]
fn child_text(base: Option<&Child<'_>>, ours: &Child<'_>, theirs: Option<&Child<'_>>) -> Option<Option<String>> {
    let is_untouched = base.is_some_and(|base| base.text() == ours.text());
    let Some(theirs) = theirs else {
        return match base {
            None => Some(Some(ours.text().to_owned())),
            // A comment at it is the user's.
            Some(_) => (is_untouched && !ours.is_inline).then_some(None),
        };
    };
    if is_untouched && ours.column == theirs.column && ours.is_inline == theirs.is_inline {
        return Some(Some(theirs.text().to_owned()));
    }
    let is_unchanged = base.is_some_and(|base| equal(base.part.node, theirs.part.node));
    if is_unchanged || equal(ours.part.node, theirs.part.node) {
        return Some(Some(ours.text().to_owned()));
    }
    let text = value(base.map(|base| base.part), ours.part, theirs.part)?;
    Some(Some(ours.with_value(&text)?))
}

/// The text of a child that only the generator has, at the indentation of the user's children.
fn added_text(child: &Child<'_>, sibling: Option<&Child<'_>>) -> Option<String> {
    if child.is_flow {
        return Some(child.text().to_owned());
    }
    let indent = if child.is_inline { " ".repeat(child.column) } else { String::new() };
    sibling.is_some_and(|sibling| sibling.column == child.column).then(|| indent + child.text())
}

/// After the nearest of the children in front of it in the new version, but not in front of one that is next to a dash.
fn position(merged: &[Merged], before: &[Child<'_>], is_inline: bool) -> usize {
    let known = before.iter().rev().find_map(|child| merged.iter().position(|merged| merged.id == child.id));
    known.map_or(usize::from(is_inline && !merged.is_empty()), |index| index + 1)
}

/// Children on lines of their own.
fn block(merged: &[Merged]) -> String {
    let mut text = String::new();
    for child in merged {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&child.text);
    }
    text
}

/// Children in brackets. Those of the user have the spaces that they had.
fn flow(merged: &[Merged], ours: Part<'_>, theirs: Part<'_>) -> Option<String> {
    let (gaps, others) = (Gaps::of(ours)?, Gaps::of(theirs)?);
    let (open, close) = if gaps.is_empty { (&others.open, &others.close) } else { (&gaps.open, &gaps.close) };
    let separator = gaps.between.first().or(others.between.first()).cloned().unwrap_or_else(|| ", ".to_owned());
    let mut text = ours.text[ours.node.range.start..][..1].to_owned();
    if !merged.is_empty() {
        text.push_str(open);
    }
    for (number, child) in merged.iter().enumerate() {
        if number > 0 {
            let own = child.ours.and_then(|index| gaps.between.get(index.checked_sub(1)?));
            text.push_str(own.unwrap_or(&separator));
        }
        text.push_str(&child.text);
    }
    if !merged.is_empty() {
        text.push_str(close);
    }
    text.push_str(&ours.text[..ours.node.range.end][ours.node.range.end - 1..]);
    Some(text)
}

/// What is between the children in brackets: spaces, and a comma.
struct Gaps {
    is_empty: bool,
    open: String,
    between: Vec<String>,
    close: String,
}

impl Gaps {
    /// `None` if there are comments.
    fn of(part: Part<'_>) -> Option<Self> {
        let (children, range) = (part.children()?, part.node.range.clone());
        let text = |range: Range<usize>| part.text.get(range);
        let (Some(first), Some(last)) = (children.first(), children.last()) else {
            let inner = text(range.start + 1..range.end - 1)?;
            return inner.trim().is_empty().then(|| Self {
                is_empty: true,
                open: String::new(),
                between: Vec::new(),
                close: String::new(),
            });
        };
        let open = text(range.start + 1..first.range.start)?;
        let close = text(last.range.end..range.end - 1)?;
        let between = children.windows(2).map(|pair| text(pair[0].range.end..pair[1].range.start));
        let between = between.map(|gap| gap.filter(|gap| gap.trim() == ",").map(str::to_owned));
        let between = between.collect::<Option<Vec<_>>>()?;
        let is_space = open.trim().is_empty() && close.trim().is_empty();
        is_space.then(|| Self { is_empty: false, open: open.to_owned(), between, close: close.to_owned() })
    }
}

#[cfg(test)]
mod tests;
