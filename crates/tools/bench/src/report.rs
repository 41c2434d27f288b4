//! The results as Markdown.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::contest::Score;
use crate::contests::{Contest, Setup};

/// What came of a contest.
pub(crate) enum Outcome {
    Ran(Vec<Score>),
    /// The machine or the build does not have what it needs.
    NotRun,
    Failed(anyhow::Error),
}

/// One contest as a table, with the ratio of the first contestant to each other one.
pub(crate) fn contest(contest: &Contest, outcome: &Outcome) -> String {
    let mut text = format!("### {}\n\n{}.\n\n", contest.name, contest.what);
    let scores = match outcome {
        Outcome::Ran(scores) => scores,
        Outcome::NotRun => return text + &format!("**Not run**: it needs {}.\n", contest.needs),
        Outcome::Failed(error) => return text + &format!("**Failed**: {error:#}.\n"),
    };
    text.push_str("| | per second | p50 | p99 | memory | ratio |\n|---|---:|---:|---:|---:|---:|\n");
    let ours = scores.first().and_then(|score| score.rate);
    for (index, score) in scores.iter().enumerate() {
        let ratio = ours.zip(score.rate).filter(|(_, rate)| index > 0 && *rate > 0.0).map(|(ours, rate)| ours / rate);
        text.push_str(&row(score, &ratio.map(|ratio| format!("{ratio:.2}x")).unwrap_or_default()));
    }
    text
}

fn row(score: &Score, ratio: &str) -> String {
    let (p50, p99) = score.latency.map_or_else(Default::default, |(p50, p99)| (millis(p50), millis(p99)));
    let memory = score.memory.map(|bytes| format!("{} MiB", bytes >> 20)).unwrap_or_default();
    let rate = score.rate.map(|rate| format!("{rate:.0}")).unwrap_or_default();
    format!("| {} | {rate} | {p50} | {p99} | {memory} | {ratio} |\n", score.name)
}

fn millis(latency: Duration) -> String {
    format!("{:.2} ms", latency.as_secs_f64() * 1_000.0)
}

/// The page with all results, the machine and the versions.
pub(crate) fn page(results: &[(&Contest, Outcome)], setup: &Setup) -> String {
    let mut text = String::from(HEAD);
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("", |(_, name)| name);
    let _infallible = writeln!(
        text,
        "{cpus} processors ({cpu}) shared by load, service and database; {}; {}; {}; {} rounds of {} s.\n",
        version(&setup.service, "--version"),
        version(Path::new("rustc"), "--version"),
        version(Path::new("pgbench"), "--version"),
        setup.rounds.count,
        setup.rounds.duration.as_secs_f64(),
    );
    for (contest, outcome) in results {
        text.push_str(&self::contest(contest, outcome));
        text.push('\n');
    }
    text
}

const HEAD: &str = "# Benchmarks

`make bench` writes this page. Figures per second depend on the machine; the ratios, of the first line of a table to each
other one, are from one run, in which the contestants took turns. The service has its default telemetry: metrics, logs at
`info`, no exporter. PostgreSQL and MariaDB sync every commit to disk if `.ci/services` starts them for the run. What limits
the service is in [performance.md](performance.md).

";

fn version(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if text.is_empty() { format!("{} not installed", program.display()) } else { text }
}
