//! What a test program says under `--show-output`, taken apart line by line.

use std::collections::VecDeque;

/// How a line begins by which a test says that it did not test.
pub const SKIPPED: &str = "skipped: ";

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It ran to its end.
    Passed,
    /// It panicked, or never came to an end.
    Failed,
    /// It said that it did not test; with the reason.
    Skipped(String),
    /// It is marked as one that runs only when asked for; with the reason.
    Ignored(String),
}

/// One test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its path within the program.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
}

impl Case {
    /// A case of that name.
    pub fn new(name: &str, outcome: Outcome) -> Self {
        Self { name: name.to_owned(), outcome }
    }
}

/// What has been read so far.
#[derive(Debug, Default)]
pub struct Output {
    announced: Option<usize>,
    cases: Vec<Case>,
    place: Place,
    failures: Vec<String>,
    loose: VecDeque<String>,
}

/// The most lines that are kept of what the harness did not catch.
const LOOSE: usize = 300;

/// Where in the output the next line is.
#[derive(Debug, Default)]
enum Place {
    #[default]
    Results,
    /// In what the test of that index, if any, had to say.
    Shown(Option<usize>),
}

impl Output {
    /// Takes the next line; the case that it tells the end of, if any.
    pub fn read(&mut self, line: &str) -> Option<&Case> {
        if line.starts_with("test result: ") {
            self.place = Place::Results;
            return None;
        }
        match self.place {
            Place::Results => return self.read_result(line),
            Place::Shown(shown) => self.read_shown(line, shown),
        }
        None
    }

    fn read_result(&mut self, line: &str) -> Option<&Case> {
        if let Some(count) = announced(line) {
            *self.announced.get_or_insert(0) += count;
        } else if line == "successes:" || line == "failures:" {
            self.place = Place::Shown(None);
        } else if let Some(case) = result(line) {
            self.cases.push(case);
            return self.cases.last();
        } else if !line.is_empty() {
            if self.loose.len() == LOOSE {
                self.loose.pop_front();
            }
            self.loose.push_back(line.to_owned());
        }
        None
    }

    fn read_shown(&mut self, line: &str, shown: Option<usize>) {
        let begun = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        let index = begun.map_or(shown, |name| self.cases.iter().rposition(|case| case.name == name));
        self.place = Place::Shown(index);
        let Some(case) = index.and_then(|index| self.cases.get_mut(index)) else { return };
        if case.outcome == Outcome::Failed {
            self.failures.push(line.to_owned());
        } else if let Some(reason) = line.strip_prefix(SKIPPED) {
            case.outcome = Outcome::Skipped(reason.to_owned());
        }
    }

    /// What the tests that failed had to say, behind the last of what programs that tests started wrote; nothing when none
    /// failed.
    pub fn failures(&self) -> impl Iterator<Item = &str> {
        let loose = self.loose.iter().filter(|_| !self.failures.is_empty());
        loose.chain(&self.failures).map(String::as_str)
    }

    /// Every case. Announced ones that no line told the end of are one failed case.
    pub fn cases(mut self) -> Vec<Case> {
        let lost = self.announced.unwrap_or(0).saturating_sub(self.cases.len());
        if lost > 0 {
            self.cases.push(Case::new(&format!("{lost} tests without an end"), Outcome::Failed));
        }
        self.cases
    }

    /// The cases of a program that has ended. One that fails though no test of it did, or that has no tests to tell of, is
    /// a case itself.
    pub fn cases_of_ended(self, success: bool) -> Vec<Case> {
        let tells = self.announced.is_some();
        let mut cases = self.cases();
        if !tells || (!success && !cases.iter().any(|case| case.outcome == Outcome::Failed)) {
            let outcome = if success { Outcome::Passed } else { Outcome::Failed };
            cases.push(Case::new("the program itself", outcome));
        }
        cases
    }
}

/// The count in `running 3 tests`.
fn announced(line: &str) -> Option<usize> {
    let (count, rest) = line.strip_prefix("running ")?.split_once(' ')?;
    if rest == "test" || rest == "tests" { count.parse().ok() } else { None }
}

/// The case in `test a::b - should panic ... ok`.
fn result(line: &str) -> Option<Case> {
    let (name, outcome) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let outcome = match outcome.split_once(", ").unwrap_or((outcome, "ignored")) {
        ("ok", _) => Outcome::Passed,
        ("FAILED", _) => Outcome::Failed,
        ("ignored", reason) => Outcome::Ignored(reason.to_owned()),
        _ => return None,
    };
    Some(Case::new(name.strip_suffix(" - should panic").unwrap_or(name), outcome))
}
