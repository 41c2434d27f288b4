//! Reads the lines of a `.env` file without touching the process's environment.

/// A line of a `.env` file that sets a variable.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) line: usize,
    pub(crate) name: String,
    pub(crate) value: String,
}

/// What is wrong with a line; never quotes it, because it may hold a secret.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    pub(crate) line: usize,
    pub(crate) message: &'static str,
}

/// Reads `NAME=value` lines: blank ones and `#` comments are skipped, `export` is ignored, values may be quoted.
/// Nothing is substituted: a `$` in a password is a `$`.
pub(crate) fn parse(text: &str) -> (Vec<Assignment>, Vec<BadLine>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (index, text) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let (line, text) = (index + 1, text.trim());
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        match assignment(text) {
            Ok((name, value)) => good.push(Assignment { line, name, value }),
            Err(message) => bad.push(BadLine { line, message }),
        }
    }
    (good, bad)
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
        let (good, bad) = parse(line);
        assert_eq!((good.len(), bad), (1, Vec::new()), "{line}");
        good[0].value.clone()
    }

    #[test]
    fn reads_what_shells_and_compose_read() {
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
    fn counts_lines_and_goes_on_after_a_bad_one() {
        let (good, bad) = parse("\u{feff}# first\r\n\r\nA=1\r\nhunter2\nB='x\n2C=3\nD=\"a\" b\nE=\"\\q\"\nF=6");
        assert_eq!(good.iter().map(|a| (a.line, a.value.as_str())).collect::<Vec<_>>(), [(3, "1"), (9, "6")]);
        assert_eq!(bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [4, 5, 6, 7, 8]);
        assert!(!format!("{bad:?}").contains("hunter2"));
    }
}
