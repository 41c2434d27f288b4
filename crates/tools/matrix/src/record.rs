//! Files with the outcome of each case, one per test program, that the runner writes and the main program reads.

use std::fs;
use std::io;
use std::path::Path;

use crate::output::{Case, Outcome};

/// The cases of one test program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// Package of the program.
    pub package: String,
    /// Name of the program within the package.
    pub target: String,
    /// Outcomes of its tests.
    pub cases: Vec<Case>,
}

impl Suite {
    /// Creates a suite.
    pub fn new(package: &str, target: &str, cases: Vec<Case>) -> Self {
        Self { package: package.to_owned(), target: target.to_owned(), cases }
    }

    fn to_text(&self) -> String {
        let mut text = format!("{}\t{}\n", self.package, self.target);
        for case in &self.cases {
            let (outcome, reason) = match &case.outcome {
                Outcome::Passed => ("passed", ""),
                Outcome::Failed => ("failed", ""),
                Outcome::Skipped(reason) => ("skipped", reason.as_str()),
                Outcome::Ignored(reason) => ("ignored", reason.as_str()),
            };
            text.extend([outcome, "\t", &case.name, "\t", reason, "\n"]);
        }
        text
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (package, target) = lines.next()?.split_once('\t')?;
        Some(Self::new(package, target, lines.map(case).collect::<Option<_>>()?))
    }
}

fn case(line: &str) -> Option<Case> {
    let mut fields = line.splitn(3, '\t');
    let (outcome, name, reason) = (fields.next()?, fields.next()?, fields.next()?);
    let outcome = match outcome {
        "passed" => Outcome::Passed,
        "failed" => Outcome::Failed,
        "skipped" => Outcome::Skipped(reason.to_owned()),
        "ignored" => Outcome::Ignored(reason.to_owned()),
        _ => return None,
    };
    Some(Case::new(name, outcome))
}

/// Writes a suite to `folder`, under the name of the program's file.
pub fn write(folder: &Path, file: &str, suite: &Suite) -> io::Result<()> {
    fs::write(folder.join(file), suite.to_text())
}

/// Reads every suite in `folder`.
pub fn read(folder: &Path) -> io::Result<Vec<Suite>> {
    let mut suites = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let suite = Suite::from_text(&fs::read_to_string(&path)?);
        suites.push(suite.ok_or_else(|| io::Error::other(format!("{} is not a record", path.display())))?);
    }
    Ok(suites)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_survive_a_round_trip() {
        let cases = [
            Case::new("postgres::finds", Outcome::Passed),
            Case::new("src/lib.rs - two (line 4)", Outcome::Failed),
            Case::new("nats::sends", Outcome::Skipped("TEST_NATS_URL is not set".to_owned())),
            Case::new("screenshots", Outcome::Ignored("no test".to_owned())),
        ];
        let suite = Suite::new("kennel-broker", "conformance", cases.to_vec());
        assert_eq!(Suite::from_text(&suite.to_text()), Some(suite));
    }

    #[test]
    fn invalid_records_are_rejected() {
        for text in ["", "package", "package\ttarget\nperhaps\tname\t\n", "package\ttarget\npassed\n"] {
            assert_eq!(Suite::from_text(text), None, "{text:?}");
        }
    }
}
