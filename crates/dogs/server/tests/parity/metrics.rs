//! The scenario produces the same metric families with the same labels.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::golden;
use crate::pair::Pair;
use crate::scenario::{SharedRun, outcome};
use crate::service_dir::RunningService;

/// Longer than the interval of any periodic measurement.
const TEST_TIMEOUT: Duration = Duration::from_secs(15);

pub async fn check(pair: Pair, run: &SharedRun) {
    if let Some(outcome) = outcome(pair, run).await {
        golden::check(pair, "metrics.txt", &outcome.metrics);
    }
}

/// The metric families of the process. Waits for the families of periodic measurements.
pub async fn of(pair: Pair, served: &RunningService) -> String {
    let (started, expected) = (Instant::now(), golden::read("metrics.txt"));
    loop {
        let found = families(&served.metrics().await);
        let is_new = golden::is_written_by(pair);
        if (found == expected && !is_new) || started.elapsed() > TEST_TIMEOUT {
            return found;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// One line for each family: its name, its type and the names of its labels.
fn families(text: &str) -> String {
    let mut types = BTreeMap::new();
    let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            types.insert(name.to_owned(), kind.to_owned());
        } else if !line.starts_with('#') {
            let (name, of) = series(line, &types);
            labels.entry(name).or_default().extend(of);
        }
    }
    let line = |(name, labels): (&String, &BTreeSet<String>)| {
        let labels: Vec<_> = labels.iter().map(String::as_str).collect();
        format!("{name} {} {{{}}}\n", types[name], labels.join(","))
    };
    labels.iter().map(line).collect()
}

/// The family of a series, and its labels without the `le` of histograms.
fn series(line: &str, types: &BTreeMap<String, String>) -> (String, Vec<String>) {
    let name = line.split(['{', ' ']).next().unwrap_or_default();
    let mut families = ["_bucket", "_sum", "_count"].iter().filter_map(|suffix| name.strip_suffix(suffix));
    let family = families.rfind(|family| types.contains_key(*family)).unwrap_or(name);
    let inside = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(inside, _)| inside);
    let names = inside.split("\",").filter_map(|pair| pair.split_once("=\"")).map(|(name, _)| name.to_owned());
    (family.to_owned(), names.filter(|name| name != "le").collect())
}

#[test]
fn families_are_listed_with_name_type_and_labels() {
    let text = "# HELP a_total x\n# TYPE a_total counter\na_total{route=\"/{id}, x\",status=\"200\"} 1\n\
                # TYPE b_seconds histogram\nb_seconds_bucket{le=\"1\",op=\"x\"} 1\nb_seconds_sum{op=\"x\"} 1\n\
                b_seconds_count{op=\"x\"} 1\n# TYPE c gauge\nc 1\n";
    assert_eq!(families(text), "a_total counter {route,status}\nb_seconds histogram {op}\nc gauge {}\n");
}
