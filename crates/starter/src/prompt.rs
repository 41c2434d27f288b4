//! Questions, each answered by a line. So answers can come from a terminal, a pipe or a screen reader: a menu that draws on
//! the terminal can do that for none of the others.

use std::io::{self, BufRead, Write};

use anyhow::bail;

/// Asks on `output` and reads from `input`.
pub(crate) struct Prompt<'a> {
    input: &'a mut dyn BufRead,
    output: &'a mut dyn Write,
}

impl<'a> Prompt<'a> {
    /// Asks on `output` and reads from `input`.
    pub(crate) fn new(input: &'a mut dyn BufRead, output: &'a mut dyn Write) -> Self {
        Self { input, output }
    }

    /// What is shown between questions.
    pub(crate) fn output(&mut self) -> &mut dyn Write {
        self.output
    }

    /// Asks until the answer is valid; an empty one is the default. `check` returns what is wrong.
    pub(crate) fn text(
        &mut self,
        question: &str,
        default: &str,
        check: &dyn Fn(&str) -> Result<(), String>,
    ) -> anyhow::Result<String> {
        loop {
            let shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
            write!(self.output, "{question}{shown}: ")?;
            self.output.flush()?;
            let line = self.line()?;
            let answer = if line.is_empty() { default } else { &line };
            match check(answer) {
                Ok(()) => return Ok(answer.to_owned()),
                Err(message) => writeln!(self.output, "  {message}")?,
            }
        }
    }

    /// One of some options.
    pub(crate) fn choice(&mut self, question: &str, options: &[&str], default: &str) -> anyhow::Result<String> {
        let question = format!("{question} ({})", options.join(", "));
        self.text(&question, default, &|answer| is_option(answer, options))
    }

    /// Any of some options, separated by commas or spaces.
    pub(crate) fn choices(&mut self, question: &str, options: &[&str], default: &str) -> anyhow::Result<Vec<String>> {
        let question = format!("{question} (any of {})", options.join(", "));
        let answer =
            self.text(&question, default, &|answer| words(answer).try_for_each(|word| is_option(word, options)))?;
        let mut chosen: Vec<String> = Vec::new();
        for word in words(&answer) {
            if !chosen.iter().any(|known| known == word) {
                chosen.push(word.to_owned());
            }
        }
        Ok(chosen)
    }

    /// Yes or no.
    pub(crate) fn confirm(&mut self, question: &str, default: bool) -> anyhow::Result<bool> {
        let shown = if default { "Y/n" } else { "y/N" };
        loop {
            write!(self.output, "{question} [{shown}] ")?;
            self.output.flush()?;
            match self.line()?.to_lowercase().as_str() {
                "" => return Ok(default),
                "y" | "yes" => return Ok(true),
                "n" | "no" => return Ok(false),
                _ => writeln!(self.output, "  y or n")?,
            }
        }
    }

    /// Without spaces around it. The end of the input is no answer: nothing happens unasked.
    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.input.read_line(&mut line)? == 0 {
            writeln!(self.output).or_else(|error| if is_closed(&error) { Ok(()) } else { Err(error) })?;
            bail!("the input ended before the question was answered");
        }
        Ok(line.trim().to_owned())
    }
}

fn is_closed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

fn words(answer: &str) -> impl Iterator<Item = &str> {
    answer.split([',', ' ']).filter(|word| !word.is_empty())
}

fn is_option(answer: &str, options: &[&str]) -> Result<(), String> {
    if options.contains(&answer) { Ok(()) } else { Err(format!("`{answer}` is none of {}", options.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask<T>(input: &str, ask: impl Fn(&mut Prompt<'_>) -> anyhow::Result<T>) -> (Result<T, String>, String) {
        let (mut input, mut output) = (input.as_bytes(), Vec::new());
        let answer = ask(&mut Prompt::new(&mut input, &mut output)).map_err(|error| error.to_string());
        (answer, String::from_utf8(output).unwrap())
    }

    #[test]
    fn answers_are_asked_for_until_they_are_valid() {
        let (answer, output) = ask("x\n\n", |prompt| prompt.choice("Store", &["a", "b"], "b"));
        assert_eq!(answer, Ok("b".to_owned()));
        assert_eq!(output, "Store (a, b) [b]:   `x` is none of a, b\nStore (a, b) [b]: ");
        let (answer, _) = ask("b, a b\n", |prompt| prompt.choices("Stores", &["a", "b"], ""));
        assert_eq!(answer, Ok(vec!["b".to_owned(), "a".to_owned()]));
        let (answer, output) = ask("maybe\nYes\n", |prompt| prompt.confirm("Run", false));
        assert_eq!((answer, &*output), (Ok(true), "Run [y/N]   y or n\nRun [y/N] "));
    }

    #[test]
    fn the_end_of_the_input_is_no_answer() {
        let (answer, _) = ask("", |prompt| prompt.confirm("Run", true));
        assert_eq!(answer, Err("the input ended before the question was answered".to_owned()));
    }
}
