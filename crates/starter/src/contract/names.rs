//! Names of documents as names of Rust.

/// Keywords of Rust, of which all but the last four can be escaped.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else", "enum",
    "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move",
    "mut", "override", "priv", "pub", "ref", "return", "static", "struct", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "crate", "self", "super", "Self",
];

/// Whether it is a keyword of Rust.
pub fn is_keyword(name: &str) -> bool {
    KEYWORDS.contains(&name)
}

/// The words of a name in any spelling: `createdAt`, `created-at`, `HTTPServer`.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (index, char) in chars.iter().enumerate() {
        if !char.is_ascii_alphanumeric() {
            words.push(String::new());
            continue;
        }
        let before = index.checked_sub(1).and_then(|index| chars.get(index));
        let after = chars.get(index + 1);
        let starts = char.is_ascii_uppercase()
            && before.is_some_and(|before| {
                before.is_ascii_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_ascii_uppercase() && after.is_some_and(char::is_ascii_lowercase))
            });
        if starts {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(char.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// As the name of a field or function; `None` if it has no letter at the start.
pub fn snake(name: &str) -> Option<String> {
    let name = words(name).join("_");
    let name = if KEYWORDS[KEYWORDS.len() - 4..].contains(&&*name) {
        format!("{name}_")
    } else if KEYWORDS.contains(&&*name) {
        format!("r#{name}")
    } else {
        name
    };
    starts_with_letter(name)
}

/// As the name of a type; `None` if it has no letter at the start.
pub fn pascal(name: &str) -> Option<String> {
    let capital = |word: String| {
        let (first, rest) = word.split_at(1);
        first.to_ascii_uppercase() + rest
    };
    starts_with_letter(words(name).into_iter().map(capital).collect()).filter(|name| name != "Self")
}

fn starts_with_letter(name: String) -> Option<String> {
    name.starts_with(|char: char| char.is_ascii_alphabetic()).then_some(name)
}

/// A number as code, with its digits in groups.
pub fn literal(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", grouped(&number.unsigned_abs().to_string()))
}

/// A number as code.
pub fn float(number: f64) -> String {
    let text = format!("{number:?}");
    match text.split_once('.') {
        Some((whole, rest)) if !text.contains('e') && rest.len() < 5 => {
            let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
            format!("{sign}{}.{rest}", grouped(digits))
        }
        _ => text,
    }
}

fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_becomes_a_name() {
        for (name, expected) in [
            ("createdAt", Some("created_at")),
            ("X-Request-Id", Some("x_request_id")),
            ("HTTPServer", Some("http_server")),
            ("listV2Orders", Some("list_v2_orders")),
            ("type", Some("r#type")),
            ("self", Some("self_")),
            ("a.b[c]", Some("a_b_c")),
            ("1st", None),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(snake(name).as_deref(), expected, "{name}");
        }
        assert_eq!(pascal("order_line").as_deref(), Some("OrderLine"));
        assert_eq!(pascal("orderLine").as_deref(), Some("OrderLine"));
        assert_eq!(pascal("IN_TRANSIT").as_deref(), Some("InTransit"));
        assert_eq!(pascal("self"), None);
        assert_eq!(pascal("9"), None);
    }

    #[test]
    fn numbers_have_groups_of_digits() {
        assert_eq!([1, 1_000, -1_234_567].map(literal), ["1", "1_000", "-1_234_567"]);
        assert_eq!([0.5, 1000.0, -1e6, 1e20].map(float), ["0.5", "1_000.0", "-1_000_000.0", "1e20"]);
    }
}
