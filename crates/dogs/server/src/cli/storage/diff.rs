//! `dogs storage diff`.

use std::process::ExitCode;

use dogs_domain::Dog;
use serde_json::Value;

use crate::cli::out::say;
use crate::moving::{Comparison, Difference, End};

/// Tells where the stores differ, `limit` dogs at most, and how many dogs do.
pub(super) async fn run(from: &End, to: &End, limit: u64) -> anyhow::Result<ExitCode> {
    let mut comparison = Comparison::new(from, to, None);
    let (mut missing, mut extra, mut changed) = (0, 0, 0);
    comparison.fill().await?;
    while let Some(compared) = comparison.step() {
        for difference in &compared.differences {
            if missing + extra + changed < limit {
                say(line(difference, from.name, to.name))?;
            }
            match difference {
                Difference::Missing(_) => missing += 1,
                Difference::Extra(_) => extra += 1,
                Difference::Changed { .. } => changed += 1,
            }
        }
        comparison.fill().await?;
    }
    let (there, here) = (&comparison.seen_from, &comparison.seen_to);
    say(format_args!("{}: {} dogs, sha256 {}", from.name, there.dogs, there.digest()))?;
    say(format_args!("{}: {} dogs, sha256 {}", to.name, here.dogs, here.digest()))?;
    if missing + extra + changed == 0 {
        say("no differences")?;
        return Ok(ExitCode::SUCCESS);
    }
    say(format_args!("{missing} missing at {}, {extra} missing at {}, {changed} differ", to.name, from.name))?;
    Ok(ExitCode::FAILURE)
}

fn line(difference: &Difference, from: &str, to: &str) -> String {
    let id = difference.id();
    match difference {
        Difference::Missing(_) => format!("{id}  missing at {to}"),
        Difference::Extra(_) => format!("{id}  missing at {from}"),
        Difference::Changed { from: there, to: here } => {
            let fields = fields(there).into_iter().zip(fields(here)).filter(|(there, here)| there != here);
            let told = fields.map(|((name, there), (_, here))| format!("{name} {there} at {from}, {here} at {to}"));
            format!("{id}  differs: {}", told.collect::<Vec<_>>().join("; "))
        }
    }
}

/// The fields of a dog by name, as JSON, so that no text of a user's can pass for something else.
fn fields(dog: &Dog) -> Vec<(String, Value)> {
    match serde_json::to_value(dog) {
        Ok(Value::Object(fields)) => fields.into_iter().collect(),
        _ => Vec::new(),
    }
}
