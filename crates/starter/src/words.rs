//! The words of the templates: `note` is the entity, in every spelling.

/// Replaces the spellings of `note` and `notes` with those of an entity.
pub(crate) struct Words {
    /// In code.
    pairs: [(&'static str, String); 6],
    /// In sentences, where `order_line` is two words.
    prose: [(&'static str, String); 4],
    /// Whether the entity has `an` in front of it.
    is_vowel: bool,
}

impl Words {
    pub(crate) fn new(one: &str, several: &str) -> Self {
        Self {
            pairs: [
                ("notes", several.to_owned()),
                ("Notes", pascal(several)),
                ("NOTES", several.to_uppercase()),
                ("note", one.to_owned()),
                ("Note", pascal(one)),
                ("NOTE", one.to_uppercase()),
            ],
            prose: [
                ("notes", several.replace('_', " ")),
                ("Notes", sentence(several)),
                ("note", one.replace('_', " ")),
                ("Note", sentence(one)),
            ],
            is_vowel: one.starts_with(['a', 'e', 'i', 'o', 'u']),
        }
    }

    pub(crate) fn apply(&self, text: &str) -> String {
        let text = if self.is_vowel { with_articles(text) } else { text.to_owned() };
        let lines: Vec<_> = text.split_inclusive('\n').map(|line| self.apply_to_line(line)).collect();
        lines.concat()
    }

    /// In a comment, what is between backticks is code.
    fn apply_to_line(&self, line: &str) -> String {
        let replace = |text: &str, pairs: &[(&'static str, String)]| {
            pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
        };
        if !line.trim_start().starts_with("//") {
            return replace(line, &self.pairs);
        }
        let segments = line.split('`').enumerate();
        let segments = segments
            .map(|(index, text)| if index % 2 == 0 { replace(text, &self.prose) } else { replace(text, &self.pairs) });
        segments.collect::<Vec<_>>().join("`")
    }
}

/// `a note` and `a_note` with `an`.
fn with_articles(text: &str) -> String {
    let text = text.replace(" a [`Note", " an [`Note");
    let mut result = String::with_capacity(text.len() + 64);
    let mut rest = text.as_str();
    while let Some(at) = rest.find("note") {
        let (before, after) = rest.split_at(at);
        let article = before.strip_suffix([' ', '_']).and_then(|text| text.strip_suffix(['a', 'A']));
        let is_word = article.is_some_and(|text| !text.ends_with(|char: char| char.is_alphanumeric()));
        match before.char_indices().next_back() {
            Some((separator, _)) if is_word => {
                result.push_str(&before[..separator]);
                result.push('n');
                result.push_str(&before[separator..]);
            }
            _ => result.push_str(before),
        }
        result.push_str("note");
        rest = &after["note".len()..];
    }
    result + rest
}

/// `order_line` and `order-line` as `OrderLine`.
pub(crate) fn pascal(text: &str) -> String {
    let capital = |word: &str| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_uppercase().chain(chars).collect::<String>()).unwrap_or_default()
    };
    text.split(['_', '-']).map(capital).collect()
}

/// `orderLine`, `OrderLine` and `order_line` as `order-line`.
pub(crate) fn kebab(text: &str) -> String {
    let mut result = String::with_capacity(text.len() + 4);
    let mut previous = '-';
    for char in text.chars() {
        let is_start = char.is_ascii_uppercase() && (previous.is_ascii_lowercase() || previous.is_ascii_digit());
        if is_start || (!char.is_ascii_alphanumeric() && !result.is_empty() && !result.ends_with('-')) {
            result.push('-');
        }
        if char.is_ascii_alphanumeric() {
            result.push(char.to_ascii_lowercase());
        }
        previous = char;
    }
    result.trim_end_matches('-').to_owned()
}

/// `order_line` as `Order line`.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().into_iter().flat_map(char::to_uppercase);
    first.chain(chars).collect::<String>().replace('_', " ")
}

/// Removes the code that is only compiled with one of the `absent` stores: the attribute `#[cfg(feature = "…")]` with its
/// item and the documentation in front of it.
pub(crate) fn without_stores(text: &str, absent: &[&str]) -> String {
    let mut lines = text.lines().peekable();
    let mut result: Vec<String> = Vec::new();
    while let Some(line) = lines.next() {
        let Some(features) = condition(line) else {
            result.push(line.to_owned());
            continue;
        };
        let indent = &line[..line.len() - line.trim_start().len()];
        let present: Vec<_> = features.iter().filter(|name| !absent.contains(name)).collect();
        if present.is_empty() {
            while result.last().is_some_and(|line| line.trim_start().starts_with("///")) {
                result.pop();
            }
            skip_item(&mut lines, indent);
            if result.last().is_none_or(String::is_empty) {
                lines.next_if(|line| line.is_empty());
            }
        } else {
            let named: Vec<_> = present.iter().map(|name| format!("feature = \"{name}\"")).collect();
            result.push(match &named[..] {
                [one] => format!("{indent}#[cfg({one})]"),
                several => format!("{indent}#[cfg(any({}))]", several.join(", ")),
            });
        }
    }
    // The last item of a file may be removed.
    while result.last().is_some_and(String::is_empty) {
        result.pop();
    }
    result.join("\n") + "\n"
}

/// The features in an attribute `#[cfg(…)]`, if there are some.
fn condition(line: &str) -> Option<Vec<&str>> {
    let condition = line.trim_start().strip_prefix("#[cfg(")?.strip_suffix(")]")?;
    let features: Vec<_> = condition.split('"').skip(1).step_by(2).collect();
    (!features.is_empty()).then_some(features)
}

/// Skips the lines of an item, which ends with the first line at its indentation that ends something.
fn skip_item<'a>(lines: &mut impl Iterator<Item = &'a str>, indent: &str) {
    let is_last = |line: &str| {
        line.strip_prefix(indent).is_some_and(|rest| !rest.starts_with(' ')) && line.ends_with([';', ',', '}'])
    };
    lines.find(|line| is_last(line));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_and_the_article_follow_the_entity() {
        let words = Words::new("order_line", "order_lines");
        let text = "a note, A note's NOTES; Notes: NoteId, a_note_is, data note, of notes, another, to a [`NoteId`]";
        let expected = "an order_line, An order_line's ORDER_LINES; OrderLines: OrderLineId, an_order_line_is, \
             data order_line, of order_lines, another, to an [`OrderLineId`]";
        assert_eq!(words.apply(text), expected);
        assert_eq!(
            words.apply("    /// A note of `notes`, Notes.\nnote"),
            "    /// An order line of `order_lines`, Order lines.\norder_line"
        );
        assert_eq!(Words::new("category", "categories").apply("a note of Notes"), "a category of Categories");
    }

    #[test]
    fn names_of_every_spelling_are_words_with_hyphens() {
        let names = ["payment_api", "ItemService", "apiServer", "HTTPServer", "a__b ", "_x", "v1", "данные-x"];
        let expected = ["payment-api", "item-service", "api-server", "httpserver", "a-b", "x", "v1", "x"];
        assert_eq!(names.map(kebab), expected);
    }

    #[test]
    fn items_of_absent_stores_are_removed_whole() {
        let text = "\
#[cfg(feature = \"mysql\")]
mod mysql;
#[cfg(feature = \"sqlite\")]
mod sqlite;

const A: B = B {
    #[cfg(feature = \"clickhouse\")]
    clickhouse: &[
        1,
    ],
    #[cfg(feature = \"sqlite\")]
    sqlite: &[2],
};

#[cfg(feature = \"mysql\")]
async fn mysql() {
    a();
}

#[cfg(any(feature = \"sqlite\", feature = \"mysql\"))]
fn read() {}

/// Documented.
#[cfg(any(feature = \"clickhouse\", feature = \"mysql\"))]
fn last() {
    a();
}
";
        let expected = "\
#[cfg(feature = \"sqlite\")]
mod sqlite;

const A: B = B {
    #[cfg(feature = \"sqlite\")]
    sqlite: &[2],
};

#[cfg(feature = \"sqlite\")]
fn read() {}
";
        assert_eq!(without_stores(text, &["mysql", "clickhouse"]), expected);
    }
}
