//! The pass/fail table and its problems.

use std::collections::BTreeSet;
use std::fmt;

use crate::output::{Case, Outcome};
use crate::record::Suite;
use crate::table::{Row, Table};

/// Number of cases per outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutcomeCounts {
    /// Completed tests.
    pub passed: usize,
    /// Tests that panicked or never completed.
    pub failed: usize,
    /// Skipped tests.
    pub skipped: usize,
}

impl OutcomeCounts {
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

/// The pass/fail table. `Display` prints the table, the remarks and the problems.
#[derive(Debug)]
pub struct Report {
    lines: Vec<(String, String, OutcomeCounts)>,
    remarks: BTreeSet<String>,
    /// Why the run has not passed; empty if it has.
    pub problems: Vec<String>,
}

impl Report {
    /// Assigns the cases of `suites` to the rows of `table`. `required` lists servers, separated by commas, whose tests
    /// must not be skipped; if it lists all servers of the table, no other test may be skipped either.
    pub fn new(table: &Table, suites: &[Suite], required: &str) -> Self {
        let required: BTreeSet<_> = required.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let mut counts_by_row = vec![OutcomeCounts::default(); table.rows.len()];
        let (mut rest, mut remarks) = (OutcomeCounts::default(), BTreeSet::new());
        for suite in suites {
            for case in &suite.cases {
                let row = table.row_of(&suite.package, &suite.target, &case.name);
                row.map_or(&mut rest, |row| &mut counts_by_row[row]).count(&case.outcome);
                remarks.extend(remark(suite, case));
            }
        }
        let mut problems = unknown(table, &required);
        for (row, counts) in table.rows.iter().zip(&counts_by_row) {
            let forbidden = row.needs.is_empty() || row.needs.iter().any(|name| required.contains(name.as_str()));
            problems.extend(row_problems(&format!("{} {}", row.port, row.backend), *counts, forbidden));
        }
        let all = table.servers().all(|name| required.contains(name));
        problems.extend(row_problems(EVERYTHING_ELSE, rest, all));
        let lines = table.rows.iter().zip(counts_by_row).map(|(row, counts)| line(row, counts));
        let rest = (EVERYTHING_ELSE.to_owned(), String::new(), rest);
        Self { lines: lines.chain([rest]).collect(), remarks, problems }
    }
}

/// The remark to print for a case that did not run.
fn remark(suite: &Suite, case: &Case) -> Option<String> {
    match &case.outcome {
        Outcome::Passed | Outcome::Failed => None,
        Outcome::Skipped(reason) => Some(format!("skipped: {reason}")),
        Outcome::Ignored(reason) => {
            Some(format!("ignored: {} {} {}: {reason}", suite.package, suite.target, case.name))
        }
    }
}

const EVERYTHING_ELSE: &str = "everything else";

fn line(row: &Row, counts: OutcomeCounts) -> (String, String, OutcomeCounts) {
    (row.port.clone(), row.backend.clone(), counts)
}

/// Servers that are required but that no row needs.
fn unknown(table: &Table, required: &BTreeSet<&str>) -> Vec<String> {
    let known: BTreeSet<_> = table.servers().collect();
    required.difference(&known).map(|name| format!("{name} is required, but no row of the table needs it")).collect()
}

fn row_problems(name: &str, counts: OutcomeCounts, may_not_skip: bool) -> Vec<String> {
    let mut problems = Vec::new();
    if counts.cases() == 0 {
        problems.push(format!("{name}: no case ran"));
    }
    if counts.failed > 0 {
        problems.push(format!("{name}: {} failed", counts.failed));
    }
    if counts.skipped > 0 && may_not_skip {
        problems.push(format!("{name}: {} skipped", counts.skipped));
    }
    problems
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: fn(&(String, String, OutcomeCounts)) -> &str| {
            self.lines.iter().map(|line| column(line).len()).max().unwrap_or(0).max(7)
        };
        let (port, backend) = (width(|line| &line.0), width(|line| &line.1));
        let mut all = OutcomeCounts::default();
        writeln!(f, "{:port$}  {:backend$}  passed  failed  skipped", "port", "backend")?;
        let mut row = |port_name: &str, backend_name: &str, counts: &OutcomeCounts| {
            let OutcomeCounts { passed, failed, skipped } = counts;
            writeln!(f, "{port_name:port$}  {backend_name:backend$}  {passed:6}  {failed:6}  {skipped:7}")
        };
        for (port_name, backend_name, counts) in &self.lines {
            row(port_name, backend_name, counts)?;
            all.add(*counts);
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
