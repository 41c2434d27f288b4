//! Parses the output of a test program with `--show-output`, line by line.

use std::collections::VecDeque;

/// Prefix of the line that a test prints when it is skipped.
pub const SKIPPED: &str = "skipped: ";

/// Outcome of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The test completed.
    Passed,
    /// The test panicked or never completed.
    Failed,
    /// The test printed that it is skipped; with the reason.
    Skipped(String),
    /// The test is marked `#[ignore]`; with the reason.
    Ignored(String),
}

/// One test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Path of the test within the program.
    pub name: String,
    /// Outcome of the test.
    pub outcome: Outcome,
}

impl Case {
    /// Creates a case.
    pub fn new(name: &str, outcome: Outcome) -> Self {
        Self { name: name.to_owned(), outcome }
    }
}

/// The output parsed so far.
#[derive(Debug, Default)]
pub struct Output {
    announced: Option<usize>,
    cases: Vec<Case>,
    section: Section,
    failures: Vec<String>,
    uncaptured: VecDeque<String>,
}

/// Maximum number of stored lines that the test harness did not capture.
const MAX_UNCAPTURED_LINES: usize = 300;

/// Section of the output that the next line belongs to.
#[derive(Debug, Default)]
enum Section {
    #[default]
    Results,
    /// The captured output of the test with that index, if any.
    Captured(Option<usize>),
}

impl Output {
    /// Parses the next line. Returns the case that the line completes, if any.
    pub fn read(&mut self, line: &str) -> Option<&Case> {
        if line.starts_with("test result: ") {
            self.section = Section::Results;
            return None;
        }
        match self.section {
            Section::Results => return self.read_result(line),
            Section::Captured(index) => self.read_captured(line, index),
        }
        None
    }

    fn read_result(&mut self, line: &str) -> Option<&Case> {
        if let Some(count) = announced(line) {
            *self.announced.get_or_insert(0) += count;
        } else if line == "successes:" || line == "failures:" {
            self.section = Section::Captured(None);
        } else if let Some(case) = result(line) {
            self.cases.push(case);
            return self.cases.last();
        } else if !line.is_empty() {
            if self.uncaptured.len() == MAX_UNCAPTURED_LINES {
                self.uncaptured.pop_front();
            }
            self.uncaptured.push_back(line.to_owned());
        }
        None
    }

    fn read_captured(&mut self, line: &str, current: Option<usize>) {
        let heading = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        let index = heading.map_or(current, |name| self.cases.iter().rposition(|case| case.name == name));
        self.section = Section::Captured(index);
        let Some(case) = index.and_then(|index| self.cases.get_mut(index)) else { return };
        if case.outcome == Outcome::Failed {
            self.failures.push(line.to_owned());
        } else if let Some(reason) = line.strip_prefix(SKIPPED) {
            case.outcome = Outcome::Skipped(reason.to_owned());
        }
    }

    /// Output of the failed tests, after the last uncaptured lines (of programs that tests started). Empty if no test
    /// failed.
    pub fn failures(&self) -> impl Iterator<Item = &str> {
        let uncaptured = self.uncaptured.iter().filter(|_| !self.failures.is_empty());
        uncaptured.chain(&self.failures).map(String::as_str)
    }

    /// All cases. Announced tests without a result are reported as one failed case.
    pub fn cases(mut self) -> Vec<Case> {
        let lost = self.announced.unwrap_or(0).saturating_sub(self.cases.len());
        if lost > 0 {
            self.cases.push(Case::new(&format!("{lost} tests without a result"), Outcome::Failed));
        }
        self.cases
    }

    /// All cases of a program that has exited. A program that failed without a failed test, or that does not use the
    /// test harness, is reported as a case itself.
    pub fn cases_of_ended(self, success: bool) -> Vec<Case> {
        let has_harness = self.announced.is_some();
        let mut cases = self.cases();
        if !has_harness || (!success && !cases.iter().any(|case| case.outcome == Outcome::Failed)) {
            let outcome = if success { Outcome::Passed } else { Outcome::Failed };
            cases.push(Case::new("test program", outcome));
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
