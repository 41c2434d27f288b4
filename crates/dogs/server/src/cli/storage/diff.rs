//! `dogs storage diff`.

use std::process::ExitCode;

use dogs_domain::Dog;
use dogs_store_copy::{Comparison, Difference, StoreHandle};
use serde_json::Value;

use kennel_service::output::print_line;

/// Prints at most `limit` differences, and the total.
pub(super) async fn run(from: &StoreHandle, to: &StoreHandle, limit: u64) -> anyhow::Result<ExitCode> {
    let mut comparison = Comparison::new(from, to, None);
    let (mut missing, mut extra, mut changed) = (0, 0, 0);
    comparison.fill().await?;
    while let Some(compared) = comparison.step() {
        for difference in &compared.differences {
            if missing + extra + changed < limit {
                print_line(line(difference, from.name, to.name))?;
            }
            match difference {
                Difference::Missing(_) => missing += 1,
                Difference::Extra(_) => extra += 1,
                Difference::Changed { .. } => changed += 1,
            }
        }
        comparison.fill().await?;
    }
    let (source, target) = (&comparison.from_summary, &comparison.to_summary);
    print_line(format_args!("{}: {} dogs, sha256 {}", from.name, source.dogs, source.digest()))?;
    print_line(format_args!("{}: {} dogs, sha256 {}", to.name, target.dogs, target.digest()))?;
    if missing + extra + changed == 0 {
        print_line("no differences")?;
        return Ok(ExitCode::SUCCESS);
    }
    print_line(format_args!("{missing} missing at {}, {extra} missing at {}, {changed} differ", to.name, from.name))?;
    Ok(ExitCode::FAILURE)
}

fn line(difference: &Difference, from: &str, to: &str) -> String {
    let id = difference.id();
    match difference {
        Difference::Missing(_) => format!("{id}  missing at {to}"),
        Difference::Extra(_) => format!("{id}  missing at {from}"),
        Difference::Changed { from: from_dog, to: to_dog } => {
            let fields = fields(from_dog).into_iter().zip(fields(to_dog)).filter(|(one, other)| one != other);
            let lines = fields.map(|((name, one), (_, other))| format!("{name} {one} at {from}, {other} at {to}"));
            format!("{id}  differs: {}", lines.collect::<Vec<_>>().join("; "))
        }
    }
}

/// The fields of a dog by name, as JSON, so that text from users cannot imitate other output.
fn fields(dog: &Dog) -> Vec<(String, Value)> {
    match serde_json::to_value(dog) {
        Ok(Value::Object(fields)) => fields.into_iter().collect(),
        _ => Vec::new(),
    }
}
