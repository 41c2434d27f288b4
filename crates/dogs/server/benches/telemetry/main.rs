//! The cost of telemetry, as a ratio within one run: the same binary with and without it, alternating, on loopback.
//!
//! `cargo bench -p dogs --bench telemetry`. Without: no logs, no exported traces. With: logs as JSON, and traces and logs
//! exported to a collector in this process. Metrics are recorded in both cases: they cannot be disabled.
//!
//! `ROUNDS=12` sets the number of rounds (default 6), `ROUND_SECONDS=5` their duration (default 2), `TRACE_LIMIT=0` exports
//! all traces, `DOGS_BINARY=path` selects another binary.

mod load;
mod subject;

use std::path::PathBuf;
use std::time::Duration;

use kennel_loadgen::median;
use kennel_testkit::Collector;
use kennel_testkit::otlp::Span;
use load::{Measured, Work};
use subject::Subject;

/// The results with and without telemetry of one round.
struct Round {
    without: Measured,
    with: Measured,
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let binary = std::env::var_os("DOGS_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_dogs").into(), PathBuf::from);
    let (rounds, seconds) = (setting("ROUNDS", 6), setting("ROUND_SECONDS", 2));
    let collector = Collector::start().await;
    let without = Subject::start(&binary, None).await;
    let with = Subject::start(&binary, Some(&collector.endpoint())).await;
    println!("{} rounds of {seconds} s, {} callers\n", rounds, load::CALLERS);
    println!(
        "{:<14} {:>22} {:>22} {:>26}",
        "", "without, per s (CPU us)", "with, per s (CPU us)", "throughput (CPU) ratio"
    );
    let mut requests = 0;
    for work in Work::ALL {
        let mut seen = Vec::new();
        for turn in 0..rounds {
            seen.push(round(work, turn % 2 == 0, [&without, &with], Duration::from_secs(seconds)).await);
        }
        requests += seen.iter().map(|round| round.with.requests).sum::<u64>();
        row(work, &seen);
    }
    with.stop().await;
    without.stop().await;
    let (traced, spans) = collector
        .until("spans", |spans| Some((spans.iter().filter(|span| is_request(span)).count(), spans.len())))
        .await;
    println!("\n{requests} requests with telemetry, {traced} of them traced, by {spans} spans");
}

/// Measures both in turn; the order alternates between rounds.
async fn round(work: Work, with_first: bool, [without, with]: [&Subject; 2], duration: Duration) -> Round {
    if with_first {
        let with = with.measure(work, duration).await;
        Round { without: without.measure(work, duration).await, with }
    } else {
        let without = without.measure(work, duration).await;
        Round { without, with: with.measure(work, duration).await }
    }
}

/// Whether it is the server span of a request.
fn is_request(span: &Span) -> bool {
    span.parent_span_id.is_empty() && span.attributes.iter().any(|pair| pair.key == "http.route")
}

fn row(work: Work, rounds: &[Round]) {
    let of = |pick: fn(&Round) -> f64| median(rounds.iter().map(pick).collect());
    let without = format!("{:.0} ({:.1})", of(|round| round.without.rate()), of(|round| round.without.cpu_micros()));
    let with = format!("{:.0} ({:.1})", of(|round| round.with.rate()), of(|round| round.with.cpu_micros()));
    let throughput_ratio = of(|round| round.with.rate() / round.without.rate());
    let of_cpu = of(|round| round.without.cpu_micros() / round.with.cpu_micros());
    println!("{:<14} {without:>22} {with:>22} {:>26}", work.name(), format!("{throughput_ratio:.3} ({of_cpu:.3})"));
}
