//! YAML with positions. Of YAML, `kennel.yaml` may use mappings, lists and scalars; anchors, aliases and tags are refused.

use std::fmt;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};

/// A position in the file, both numbers from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// A problem of the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it is.
    pub position: Position,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.position.line, self.position.column, self.message)
    }
}

/// A value with its position.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it starts.
    pub position: Position,
    /// Its bytes in the text. Of a mapping or list without brackets, only the start is exact.
    pub range: Range<usize>,
    /// Whether it is a mapping or list in brackets.
    pub is_flow: bool,
    /// The value.
    pub value: Value,
}

/// A value.
#[derive(Debug, Clone)]
pub enum Value {
    /// A scalar, and whether it is plain, that is without quotes.
    Scalar(String, bool),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key with its position.
#[derive(Debug, Clone)]
pub struct Key {
    /// Where it starts.
    pub position: Position,
    /// Its bytes in the text.
    pub range: Range<usize>,
    /// The key.
    pub name: String,
}

impl Node {
    /// The value of a key, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(name, _)| name.name == key).map(|(_, node)| node)
    }

    /// The text, if this is a scalar that is not `null`.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text, _) if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// The truth value, if this is one.
    pub fn boolean(&self) -> Option<bool> {
        match &self.value {
            Value::Scalar(text, true) => text.parse().ok(),
            _ => None,
        }
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(text, true) if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The value in JSON: scalars without quotes are numbers, truth values and `null` as in the core schema of YAML.
    pub fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Map(entries) => entries
                .iter()
                .map(|(key, node)| (key.name.clone(), node.json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Value::List(elements) => elements.iter().map(Self::json).collect::<Vec<_>>().into(),
            Value::Scalar(..) if self.is_null() => serde_json::Value::Null,
            Value::Scalar(text, true) => {
                let is_number = text.starts_with(|char: char| char.is_ascii_digit() || char == '-');
                let number = || serde_json::from_str::<serde_json::Number>(text).ok().filter(|_| is_number);
                match (text.parse::<bool>(), number()) {
                    (Ok(flag), _) => flag.into(),
                    (_, Some(number)) => number.into(),
                    _ => text.as_str().into(),
                }
            }
            Value::Scalar(text, false) => text.as_str().into(),
        }
    }

    /// The elements, if this is a list.
    pub fn elements(&self) -> &[Node] {
        if let Value::List(elements) = &self.value { elements } else { &[] }
    }
}

fn position(span: Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

/// The parser of a string always has offsets.
fn bytes(span: Span) -> Range<usize> {
    span.byte_range().unwrap_or_default()
}

/// Depth of nesting; the table of keys needs 6.
const MAX_DEPTH: usize = 32;

/// Reads one document.
pub fn parse(text: &str) -> Result<Node, Vec<Problem>> {
    let mut reader = Reader { parser: Parser::new_from_str(text), problems: Vec::new() };
    let root = reader.document();
    match root {
        Ok(root) if reader.problems.is_empty() => Ok(root),
        Ok(_) => Err(reader.problems),
        Err(problem) => {
            reader.problems.push(problem);
            Err(reader.problems)
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    /// Those after which reading can continue.
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Problem> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                let position = Position { line: error.marker().line(), column: error.marker().col() + 1 };
                Err(Problem { position, message: error.info() })
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self) -> Result<Node, Problem> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_none() => {}
                event if root.is_none() => root = Some(self.node(event, span, 0)?),
                _ => {
                    let message = "only one document is allowed".to_owned();
                    return Err(Problem { position: position(span), message });
                }
            }
        }
        let start = Position { line: 1, column: 1 };
        root.ok_or_else(|| Problem { position: start, message: "the file is empty".to_owned() })
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Problem> {
        let (position, mut range) = (position(span), bytes(span));
        if depth > MAX_DEPTH {
            return Err(Problem { position, message: format!("nested more than {MAX_DEPTH} levels deep") });
        }
        let is_flow = matches!(
            event,
            Event::SequenceStart(StructureStyle::Flow, ..) | Event::MappingStart(StructureStyle::Flow, ..)
        );
        let value = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse(position, anchor, tag.is_some());
                Value::Scalar(text.into_owned(), style == ScalarStyle::Plain)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse(position, anchor, tag.is_some());
                self.list(depth, &mut range)?
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse(position, anchor, tag.is_some());
                self.map(depth, &mut range)?
            }
            _ => return Err(Problem { position, message: "anchors and aliases are not supported".to_owned() }),
        };
        Ok(Node { position, range, is_flow, value })
    }

    fn refuse(&mut self, position: Position, anchor: usize, tag: bool) {
        if anchor != 0 || tag {
            self.problems.push(Problem { position, message: "anchors and tags are not supported".to_owned() });
        }
    }

    fn list(&mut self, depth: usize, range: &mut Range<usize>) -> Result<Value, Problem> {
        let mut elements = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, span) => {
                    range.end = bytes(span).end;
                    return Ok(Value::List(elements));
                }
                (event, span) => elements.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize, range: &mut Range<usize>) -> Result<Value, Problem> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                range.end = bytes(span).end;
                return Ok(Value::Map(entries));
            }
            let key = self.node(event, span, depth + 1)?;
            let Value::Scalar(name, _) = key.value else {
                return Err(Problem { position: key.position, message: "a key must be text".to_owned() });
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if let Some((first, _)) = entries.iter().find(|(first, _)| first.name == name) {
                let message = format!("`{name}` is already defined in line {}", first.position.line);
                self.problems.push(Problem { position: key.position, message });
            } else {
                entries.push((Key { position: key.position, range: key.range, name }, value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        parse(text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn positions_are_those_of_an_editor() {
        let root = parse("# comment\na:\n  - b: 'c'\n    d: e\n").unwrap();
        let element = &root.get("a").unwrap().elements()[0];
        let e = element.get("d").unwrap();
        assert_eq!((e.position.line, e.position.column), (4, 8));
        assert!(matches!(&element.get("b").unwrap().value, Value::Scalar(text, false) if text == "c"));
    }

    #[test]
    fn what_the_file_must_not_use_is_refused_with_its_position() {
        assert_eq!(
            problems("a: 1\na: 2\nb: 3\nb: 4\n"),
            ["2:1: `a` is already defined in line 1", "4:1: `b` is already defined in line 3"]
        );
        assert_eq!(problems("a: &x 1\nb: !!str 2\n").len(), 2);
        assert_eq!(problems("a: 1\n---\nb: 2\n"), ["2:1: only one document is allowed"]);
        assert_eq!(problems(""), ["1:1: the file is empty"]);
        assert!(problems("a: [1\n")[0].starts_with("1:4: "), "{:?}", problems("a: [1\n"));
        let nested = "[".repeat(40) + &"]".repeat(40);
        assert!(problems(&nested)[0].contains("nested more than 32 levels deep"), "{:?}", problems(&nested));
        assert_eq!(problems(&"[".repeat(100_000)).len(), 1);
    }
}
