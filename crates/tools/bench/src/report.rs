//! The results as Markdown.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::contest::{ContestResult, Rounds, Score};

/// One contest as a table, with the ratio of the service to each baseline.
pub(crate) fn contest(result: &ContestResult) -> String {
    let mut text = format!("### {}\n\n{}.\n\n", result.name, result.what);
    text.push_str("| | per second | p50 | p99 | memory | ratio |\n|---|---:|---:|---:|---:|---:|\n");
    let ours = result.scores.first().map_or(0.0, |score| score.rate);
    for (index, score) in result.scores.iter().enumerate() {
        let ratio = if index == 0 { String::new() } else { format!("{:.2}x", ours / score.rate.max(f64::EPSILON)) };
        text.push_str(&row(score, &ratio));
    }
    text
}

fn row(score: &Score, ratio: &str) -> String {
    let (p50, p99) = score.latency.map_or_else(Default::default, |(p50, p99)| (millis(p50), millis(p99)));
    let memory = score.memory.map(|bytes| format!("{} MiB", bytes >> 20)).unwrap_or_default();
    format!("| {} | {:.0} | {p50} | {p99} | {memory} | {ratio} |\n", score.name, score.rate)
}

fn millis(latency: Duration) -> String {
    format!("{:.2} ms", latency.as_secs_f64() * 1_000.0)
}

/// The page with all results, the machine and the versions.
pub(crate) fn page(results: &[ContestResult], service: &Path, rounds: Rounds) -> String {
    let mut text = String::from(HEAD);
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("", |(_, name)| name);
    let _infallible = writeln!(
        text,
        "{cpus} processors ({cpu}) shared by load, service and database; {}; {}; {}; {} rounds of {} s.\n",
        version(service, "--version"),
        version(Path::new("rustc"), "--version"),
        version(Path::new("pgbench"), "--version"),
        rounds.count,
        rounds.duration.as_secs(),
    );
    for result in results {
        text.push_str(&contest(result));
        text.push('\n');
    }
    text
}

const HEAD: &str = "# Benchmarks

`make bench ARGS='--output docs/benchmarks.md'` writes this page. Figures per second depend on the machine; the ratios are
from one run, in which the contestants took turns. The service has its default telemetry: metrics, logs at `info`, no
exporter. What limits it is in [performance.md](performance.md).

";

fn version(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if text.is_empty() { format!("{} not installed", program.display()) } else { text }
}
