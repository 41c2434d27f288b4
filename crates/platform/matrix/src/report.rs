//! The matrix, and what is wrong with it.

use std::collections::BTreeSet;
use std::fmt;

use crate::output::{Case, Outcome};
use crate::record::Suite;
use crate::table::{Row, Table};

/// How many cases came to which end, by row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Ran to their end.
    pub passed: usize,
    /// Panicked, or never came to an end.
    pub failed: usize,
    /// Did not test.
    pub skipped: usize,
}

impl Tally {
    fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Skipped(_) => self.skipped += 1,
            Outcome::Ignored(_) => {}
        }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    const fn cases(self) -> usize {
        self.passed + self.failed + self.skipped
    }
}

/// Who passed what. Printed, it is the matrix and the problems.
#[derive(Debug)]
pub struct Report {
    lines: Vec<(String, String, Tally)>,
    remarks: BTreeSet<String>,
    /// Why the whole has not passed; empty when it has.
    pub problems: Vec<String>,
}

impl Report {
    /// Sorts the cases of `suites` into the rows of `table`. `required` are the servers, joined by commas, without which
    /// nothing may be skipped; when those are all of the table, no other test may be skipped either.
    pub fn new(table: &Table, suites: &[Suite], required: &str) -> Self {
        let required: BTreeSet<_> = required.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let mut tallies = vec![Tally::default(); table.rows.len()];
        let (mut rest, mut remarks) = (Tally::default(), BTreeSet::new());
        for suite in suites {
            for case in &suite.cases {
                let row = table.row_of(&suite.package, &suite.target, &case.name);
                row.map_or(&mut rest, |row| &mut tallies[row]).count(&case.outcome);
                remarks.extend(remark(suite, case));
            }
        }
        let mut problems = unknown(table, &required);
        for (row, tally) in table.rows.iter().zip(&tallies) {
            let forbidden = row.needs.is_empty() || row.needs.iter().any(|name| required.contains(name.as_str()));
            problems.extend(wrong(&format!("{} {}", row.port, row.backend), *tally, forbidden));
        }
        let all = table.servers().all(|name| required.contains(name));
        problems.extend(wrong(EVERYTHING_ELSE, rest, all));
        let lines = table.rows.iter().zip(tallies).map(|(row, tally)| line(row, tally));
        let rest = (EVERYTHING_ELSE.to_owned(), String::new(), rest);
        Self { lines: lines.chain([rest]).collect(), remarks, problems }
    }
}

/// What to say of a case that did not run.
fn remark(suite: &Suite, case: &Case) -> Option<String> {
    match &case.outcome {
        Outcome::Passed | Outcome::Failed => None,
        Outcome::Skipped(reason) => Some(format!("skipped: {reason}")),
        Outcome::Ignored(reason) => {
            Some(format!("runs only when asked for: {} {} {}: {reason}", suite.package, suite.target, case.name))
        }
    }
}

const EVERYTHING_ELSE: &str = "everything else";

fn line(row: &Row, tally: Tally) -> (String, String, Tally) {
    (row.port.clone(), row.backend.clone(), tally)
}

/// Servers that are required, but that no row needs.
fn unknown(table: &Table, required: &BTreeSet<&str>) -> Vec<String> {
    let known: BTreeSet<_> = table.servers().collect();
    required.difference(&known).map(|name| format!("{name} is required, but no row of the table needs it")).collect()
}

fn wrong(what: &str, tally: Tally, may_not_skip: bool) -> Vec<String> {
    let mut problems = Vec::new();
    if tally.cases() == 0 {
        problems.push(format!("{what}: no case ran"));
    }
    if tally.failed > 0 {
        problems.push(format!("{what}: {} failed", tally.failed));
    }
    if tally.skipped > 0 && may_not_skip {
        problems.push(format!("{what}: {} skipped", tally.skipped));
    }
    problems
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: fn(&(String, String, Tally)) -> &str| {
            self.lines.iter().map(|line| column(line).len()).max().unwrap_or(0).max(7)
        };
        let (port, backend) = (width(|line| &line.0), width(|line| &line.1));
        let mut all = Tally::default();
        writeln!(f, "{:port$}  {:backend$}  passed  failed  skipped", "port", "backend")?;
        let mut row = |of: &str, who: &str, tally: &Tally| {
            let Tally { passed, failed, skipped } = tally;
            writeln!(f, "{of:port$}  {who:backend$}  {passed:6}  {failed:6}  {skipped:7}")
        };
        for (of, who, tally) in &self.lines {
            row(of, who, tally)?;
            all.add(*tally);
        }
        row("all", "", &all)?;
        for remark in &self.remarks {
            writeln!(f, "{remark}")?;
        }
        for problem in &self.problems {
            writeln!(f, "problem: {problem}")?;
        }
        Ok(())
    }
}
