//! The YAML that an import writes.

use std::fmt::{self, Write};

/// A mapping, a list or a scalar, in the order in which it was filled.
#[derive(Debug, Clone)]
pub(super) enum Out {
    Text(String),
    List(Vec<Out>),
    Map(Vec<(String, Out)>, Option<String>),
}

impl Default for Out {
    fn default() -> Self {
        Self::Map(Vec::new(), None)
    }
}

impl Out {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn flow<const N: usize>(fields: [(&str, String); N]) -> Self {
        Self::Map(fields.map(|(key, text)| (key.to_owned(), Self::Text(text))).into(), None)
    }

    pub(super) fn comment(&mut self, text: &str) {
        if let Self::Map(_, comment) = self {
            *comment = Some(text.to_owned());
        }
    }

    pub(super) fn section(&mut self, key: &str, value: Self) {
        if let Self::Map(fields, _) = self {
            fields.push((key.to_owned(), value));
        }
    }

    pub(super) fn set(&mut self, key: &str, text: impl Into<String>) {
        self.section(key, Self::Text(text.into()));
    }

    pub(super) fn optional(&mut self, key: &str, text: Option<String>) {
        if let Some(text) = text {
            self.set(key, text);
        }
    }

    /// A list that is not written if it is empty.
    pub(super) fn list(&mut self, key: &str, elements: Vec<Self>) {
        if !elements.is_empty() {
            self.section(key, Self::List(elements));
        }
    }

    fn is_scalar(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// In brackets: mappings of few scalars, and lists of scalars.
    fn inline(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(scalar(text)),
            Self::List(elements) => {
                let texts: Option<Vec<_>> = elements.iter().map(Self::inline).collect();
                texts.map(|texts| format!("[{}]", texts.join(", "))).filter(|text| text.len() < 90)
            }
            Self::Map(fields, None) if fields.iter().all(|(_, value)| value.is_scalar()) => {
                let texts: Option<Vec<_>> =
                    fields.iter().map(|(key, value)| Some(format!("{key}: {}", value.inline()?))).collect();
                texts.map(|texts| format!("{{{}}}", texts.join(", "))).filter(|text| text.len() < 90)
            }
            Self::Map(..) => None,
        }
    }

    fn write(&self, out: &mut impl Write, depth: usize) -> fmt::Result {
        let indent = "  ".repeat(depth);
        match self {
            Self::Text(_) => Ok(()),
            Self::List(elements) => {
                for element in elements {
                    if let Some(inline) = element.inline() {
                        writeln!(out, "{indent}- {inline}")?;
                        continue;
                    }
                    let mut block = String::new();
                    element.write(&mut block, depth + 1)?;
                    write!(out, "{indent}- {}", block.trim_start())?;
                }
                Ok(())
            }
            Self::Map(fields, comment) => {
                if let Some(comment) = comment {
                    writeln!(out, "{indent}# {comment}")?;
                }
                for (key, value) in fields {
                    let inline = if depth == 0 && value.has_sections() { None } else { value.inline() };
                    if let Some(inline) = inline {
                        writeln!(out, "{indent}{key}: {inline}")?;
                    } else {
                        writeln!(out, "{indent}{key}:")?;
                        value.write(out, depth + 1)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// At the top of the file, these are on lines of their own.
    fn has_sections(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::List(elements) => !elements.iter().all(Self::is_scalar),
            Self::Map(..) => true,
        }
    }
}

/// The document.
impl fmt::Display for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

/// In quotes, unless nobody can take it for something else.
fn scalar(text: &str) -> String {
    let is_plain = text.chars().all(|char| char.is_ascii_alphanumeric() || "-_./".contains(char))
        && text.starts_with(|char: char| char.is_ascii_alphabetic() || char == '/')
        && !matches!(text.to_lowercase().as_str(), "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n");
    let is_number = !text.is_empty() && text.len() < 6 && text.chars().all(|char| char.is_ascii_digit());
    if is_plain || is_number { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}
