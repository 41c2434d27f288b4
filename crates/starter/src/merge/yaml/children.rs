//! Where the children of a mapping or list are in the text, with the comments in front of them and next to them.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::yaml::{Node, Value};

/// Keys that name an element of a list, in the order in which they are looked for.
const NAMES: &[&str] = &["name", "id", "alert", "record", "uid", "title", "key", "path", "uses"];

/// A value in a text.
#[derive(Clone, Copy)]
pub(super) struct Part<'t> {
    pub(super) text: &'t str,
    pub(super) node: &'t Node,
    /// The start of the line after its key, where the lines of its children begin.
    from: usize,
}

/// A key with its value, or an element of a list.
pub(super) struct Child<'t> {
    /// The key, or what names the element.
    pub(super) id: String,
    /// Its bytes in the text: without brackets, whole lines with the comments in front of it.
    pub(super) range: Range<usize>,
    /// Of the key or of the dash.
    pub(super) column: usize,
    /// Whether its first line starts in the middle of one: after a dash.
    pub(super) is_inline: bool,
    pub(super) is_flow: bool,
    /// Its value.
    pub(super) part: Part<'t>,
}

impl Child<'_> {
    pub(super) fn text(&self) -> &str {
        &self.part.text[self.range.clone()]
    }

    /// Its text with another value.
    pub(super) fn with_value(&self, value: &str) -> Option<String> {
        let (text, range) = (self.part.text, self.part.range()?);
        let (before, after) = (text.get(self.range.start..range.start)?, text.get(range.end..self.range.end)?);
        Some(format!("{before}{value}{after}"))
    }
}

impl<'t> Part<'t> {
    /// The comments at the start of the file are not those of its first key.
    pub(super) fn root(text: &'t str, node: &'t Node) -> Self {
        Self { text, node, from: line_start(text, node.range.start) }
    }

    /// The bytes that are replaced if it changes. `None` if it is empty.
    pub(super) fn range(&self) -> Option<Range<usize>> {
        if self.node.is_flow || matches!(self.node.value, Value::Scalar(..)) {
            let range = self.node.range.clone();
            let text = self.text.get(range.clone())?.trim_end();
            return (!text.is_empty()).then(|| range.start..range.start + text.len());
        }
        let children = self.children()?;
        Some(children.first()?.range.start..children.last()?.range.end)
    }

    /// `None` if two have the same name, or if they are written in an unusual way.
    pub(super) fn children(&self) -> Option<Vec<Child<'t>>> {
        let mut children: Vec<Child<'t>> = Vec::new();
        let mut ids = BTreeSet::new();
        let mut add = |start: usize, id: String, node: &'t Node, key: Option<usize>| -> Option<()> {
            let child = if self.node.is_flow {
                self.in_brackets(start, id, node)?
            } else {
                let after = children.last().map(|child| child.range.end);
                self.on_lines(start, id, node, key, after)?
            };
            ids.insert(child.id.clone()).then_some(())?;
            children.push(child);
            Some(())
        };
        match &self.node.value {
            Value::Map(entries) => {
                for (key, node) in entries {
                    add(key.range.start, key.name.clone(), node, Some(key.range.end))?;
                }
            }
            Value::List(elements) => {
                for node in elements {
                    let start = if self.node.is_flow { node.range.start } else { self.dash(node)? };
                    add(start, name(node)?, node, None)?;
                }
            }
            Value::Scalar(..) => return None,
        }
        Some(children)
    }

    /// The dash of an element, on the line where the element starts.
    fn dash(&self, node: &Node) -> Option<usize> {
        let line = line_start(self.text, node.range.start);
        let before = self.text.get(line..node.range.start)?.trim_end();
        before.ends_with('-').then(|| line + before.len() - 1)
    }

    fn in_brackets(&self, start: usize, id: String, node: &'t Node) -> Option<Child<'t>> {
        let part = Self { text: self.text, node, from: node.range.start };
        let range = start..part.range()?.end;
        Some(Child { id, range, column: 0, is_inline: false, is_flow: true, part })
    }

    /// `key` is the end of the key, and `after` that of the child in front of it.
    fn on_lines(
        &self,
        start: usize,
        id: String,
        node: &'t Node,
        key: Option<usize>,
        after: Option<usize>,
    ) -> Option<Child<'t>> {
        let line = line_start(self.text, start);
        let is_inline = after.is_none() && start < self.from;
        if !is_inline && !self.text.get(line..start)?.trim().is_empty() {
            return None;
        }
        let from = if is_inline { start } else { after.unwrap_or(self.from) };
        let part = Self { text: self.text, node, from: line_end(self.text, key.unwrap_or(start)) };
        let end = match part.range() {
            Some(range) => range.end,
            None if node.is_null() => key?,
            None => return None,
        };
        // A collection of lines ends at the end of one.
        let end = if self.text[..end].ends_with('\n') { end } else { line_end(self.text, end) };
        let column = self.text[line..start].chars().count();
        (from <= start && start < end).then_some(Child {
            id,
            range: from..end,
            column,
            is_inline,
            is_flow: false,
            part,
        })
    }
}

pub(super) fn is_same_kind(one: &Node, other: &Node) -> bool {
    matches!((&one.value, &other.value), (Value::Map(_), Value::Map(_)) | (Value::List(_), Value::List(_)))
}

/// What an element is called: a scalar is its own name.
fn name(node: &Node) -> Option<String> {
    if let Value::Scalar(text, _) = &node.value {
        return Some(text.clone());
    }
    NAMES.iter().find_map(|key| {
        let text = node.get(key)?.text()?;
        match *key {
            // Numbers are given anew, such as those of the panels of a dashboard.
            "id" if text.parse::<u64>().is_ok() => None,
            // A row of a dashboard can have the title of a panel in it.
            "title" => Some(format!("title {text} {}", node.get("type").and_then(Node::text).unwrap_or_default())),
            _ => Some(format!("{key} {text}")),
        }
    })
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |end| end + 1)
}

fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |end| at + end + 1)
}
