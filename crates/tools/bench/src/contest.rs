//! A contest: the service and its baselines do the same work in turn.

use std::time::Duration;

use anyhow::ensure;
use kennel_loadgen::{Load, Measured, median};

use crate::service::Running;

/// How often and how long each contestant is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    pub(crate) count: u32,
    pub(crate) duration: Duration,
}

/// Who takes part.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) work: Work,
}

/// How the work is measured.
pub(crate) enum Work {
    /// Requests to a process.
    Http { process: Running, requests: Vec<Vec<u8>> },
    /// A command that measures itself, and the process that it loads, if it is one of ours; returns transactions per second.
    Command { process: Option<Running>, command: Box<dyn Fn(Duration) -> anyhow::Result<f64>> },
}

/// The results of a contestant.
#[derive(Debug)]
pub(crate) struct Score {
    pub(crate) name: &'static str,
    /// Requests or transactions per second, the median of the rounds.
    pub(crate) rate: f64,
    /// Median and 99th percentile of all responses. `None` for a command.
    pub(crate) latency: Option<(Duration, Duration)>,
    /// Resident memory after the last round, in bytes.
    pub(crate) memory: Option<u64>,
}

/// The results of a contest. The first score is that of the service.
#[derive(Debug)]
pub(crate) struct ContestResult {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) scores: Vec<Score>,
}

/// Measures all contestants `rounds` times in turn, after a short round that warms up and does not count.
pub(crate) fn run(contestants: &[Contestant], callers: usize, rounds: Rounds) -> anyhow::Result<Vec<Score>> {
    let mut rates: Vec<Vec<f64>> = contestants.iter().map(|_| Vec::new()).collect();
    let mut totals: Vec<Measured> = contestants.iter().map(|_| Measured::default()).collect();
    for round in 0..=rounds.count {
        let is_warm_up = round == 0;
        let duration = if is_warm_up { rounds.duration / 3 } else { rounds.duration };
        for (index, contestant) in contestants.iter().enumerate() {
            let (rate, measured) = measure(contestant, callers, duration)?;
            if !is_warm_up {
                rates[index].push(rate);
                totals[index].add(measured);
            }
        }
    }
    let scores = contestants.iter().zip(rates).zip(totals).map(|((contestant, rates), total)| {
        let (process, is_timed) = match &contestant.work {
            Work::Http { process, .. } => (Some(process), true),
            Work::Command { process, .. } => (process.as_ref(), false),
        };
        Score {
            name: contestant.name,
            rate: median(rates),
            latency: is_timed.then(|| (total.percentile(0.5), total.percentile(0.99))),
            memory: process.and_then(Running::memory),
        }
    });
    Ok(scores.collect())
}

fn measure(contestant: &Contestant, callers: usize, duration: Duration) -> anyhow::Result<(f64, Measured)> {
    match &contestant.work {
        Work::Command { command, .. } => Ok((command(duration)?, Measured::default())),
        Work::Http { process, requests } => {
            let measured = Load { server: process.http, callers, duration }.run(requests)?;
            ensure!(measured.failed() == 0, "{}: {} requests failed", contestant.name, measured.failed());
            Ok((measured.rate(), measured))
        }
    }
}
