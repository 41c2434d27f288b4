//! Parses `.env` files without changing the process's environment.

/// A line of a `.env` file that sets a variable.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) line: usize,
    pub(crate) name: String,
    pub(crate) value: String,
}

/// An invalid line. The message never quotes it, because it may contain a secret.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidLine {
    pub(crate) line: usize,
    pub(crate) message: &'static str,
}

/// Parses `NAME=value` lines: skips blank lines and `#` comments, ignores `export`, removes quotes around values.
/// Substitutes nothing: a `$` in a password is a `$`.
pub(crate) fn parse(text: &str) -> (Vec<Assignment>, Vec<InvalidLine>) {
    let (mut assignments, mut invalid) = (Vec::new(), Vec::new());
    for (index, text) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let (line, text) = (index + 1, text.trim());
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        match assignment(text) {
            Ok((name, value)) => assignments.push(Assignment { line, name, value }),
            Err(message) => invalid.push(InvalidLine { line, message }),
        }
    }
    (assignments, invalid)
}

fn assignment(line: &str) -> Result<(String, String), &'static str> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').ok_or("must be NAME=value")?;
    let name = name.trim();
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !name.starts_with(starts) || !name.chars().all(|c| starts(c) || c.is_ascii_digit()) {
        return Err("the name must consist of letters, digits and `_`");
    }
    Ok((name.to_owned(), unquote(value.trim())?))
}

fn unquote(value: &str) -> Result<String, &'static str> {
    if let Some(quoted) = value.strip_prefix('\'') {
        let (inner, rest) = quoted.split_once('\'').ok_or("a quote is not closed on its line")?;
        return nothing_but_a_comment(rest).map(|()| inner.to_owned());
    }
    if let Some(quoted) = value.strip_prefix('"') {
        return double_quoted(quoted);
    }
    if value.starts_with('#') {
        return Ok(String::new());
    }
    let end = value.find(" #").or_else(|| value.find("\t#")).unwrap_or(value.len());
    Ok(value[..end].trim_end().to_owned())
}

fn double_quoted(text: &str) -> Result<String, &'static str> {
    let (mut inner, mut chars) = (String::new(), text.chars());
    loop {
        match chars.next().ok_or("a quote is not closed on its line")? {
            '"' => break,
            '\\' => inner.push(match chars.next().ok_or("a quote is not closed on its line")? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                same @ ('"' | '\\' | '$' | '`' | '\'') => same,
                _ => return Err("an escape is unknown; write `\\\\` for a backslash or use single quotes"),
            }),
            plain => inner.push(plain),
        }
    }
    nothing_but_a_comment(chars.as_str()).map(|()| inner)
}

fn nothing_but_a_comment(rest: &str) -> Result<(), &'static str> {
    let rest = rest.trim_start();
    if rest.is_empty() || rest.starts_with('#') { Ok(()) } else { Err("text follows the closing quote") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> String {
        let (assignments, invalid) = parse(line);
        assert_eq!((assignments.len(), invalid), (1, Vec::new()), "{line}");
        assignments[0].value.clone()
    }

    #[test]
    fn parses_like_shells_and_compose() {
        assert_eq!(value("A=b"), "b");
        assert_eq!(value("  export A = b c  # why"), "b c");
        assert_eq!(value("A=b#c"), "b#c");
        assert_eq!(value("A="), "");
        assert_eq!(value("A=  # nothing"), "");
        assert_eq!(value("A='x # \"$y\" \\n' # why"), "x # \"$y\" \\n");
        assert_eq!(value(r#"A="a\"b\\c\nd $e""#), "a\"b\\c\nd $e");
        assert_eq!(value("A=p$ss=w\u{f6}rd"), "p$ss=w\u{f6}rd");
    }

    #[test]
    fn reports_line_numbers_and_continues_after_an_invalid_line() {
        let (assignments, invalid) =
            parse("\u{feff}# first\r\n\r\nA=1\r\nhunter2\nB='x\n2C=3\nD=\"a\" b\nE=\"\\q\"\nF=6");
        assert_eq!(assignments.iter().map(|a| (a.line, a.value.as_str())).collect::<Vec<_>>(), [(3, "1"), (9, "6")]);
        assert_eq!(invalid.iter().map(|invalid| invalid.line).collect::<Vec<_>>(), [4, 5, 6, 7, 8]);
        assert!(!format!("{invalid:?}").contains("hunter2"));
    }
}
