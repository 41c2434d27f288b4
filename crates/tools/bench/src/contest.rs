//! A contest: the service and its baselines do the same work in turn.

use std::sync::Arc;
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
    name: String,
    work: Work,
}

/// How the work is measured.
enum Work {
    /// Requests to a process, by so many clients at once.
    Http { process: Arc<Running>, requests: Vec<Vec<u8>>, clients: usize },
    /// A command that measures itself, and the process that it loads, if it is one of ours; returns a rate per second.
    Command { process: Option<Running>, command: Box<Command> },
}

type Command = dyn Fn(Duration) -> anyhow::Result<f64>;

impl Contestant {
    /// Measures random ones of `requests` to `process`.
    pub(crate) fn http(
        name: impl Into<String>,
        process: impl Into<Arc<Running>>,
        requests: Vec<Vec<u8>>,
        clients: usize,
    ) -> Self {
        Self { name: name.into(), work: Work::Http { process: process.into(), requests, clients } }
    }

    /// Measures what `command` returns: the rate per second of a run that takes about so long.
    pub(crate) fn command(
        name: impl Into<String>,
        process: Option<Running>,
        command: impl Fn(Duration) -> anyhow::Result<f64> + 'static,
    ) -> Self {
        Self { name: name.into(), work: Work::Command { process, command: Box::new(command) } }
    }

    fn measure(&self, duration: Duration) -> anyhow::Result<(f64, Measured)> {
        match &self.work {
            Work::Command { command, .. } => Ok((command(duration)?, Measured::default())),
            Work::Http { process, requests, clients } => {
                let load = Load { server: process.http, callers: *clients, duration, interval: Duration::ZERO };
                let measured = load.run(requests)?;
                ensure!(measured.failed() == 0, "{}: {} requests failed", self.name, measured.failed());
                Ok((measured.rate(), measured))
            }
        }
    }

    fn score(self, rates: Vec<f64>, total: &Measured) -> Score {
        let (memory, is_timed) = match &self.work {
            Work::Http { process, .. } => (process.memory(), true),
            Work::Command { process, .. } => (process.as_ref().and_then(Running::memory), false),
        };
        Score {
            name: self.name,
            rate: Some(median(rates)),
            latency: is_timed.then(|| (total.percentile(0.5), total.percentile(0.99))),
            memory,
        }
    }
}

/// The results of a contestant.
#[derive(Debug)]
pub(crate) struct Score {
    pub(crate) name: String,
    /// Requests, transactions or rows per second, the median of the rounds.
    pub(crate) rate: Option<f64>,
    /// Median and 99th percentile. `None` for a command.
    pub(crate) latency: Option<(Duration, Duration)>,
    /// Resident memory after the last round, in bytes.
    pub(crate) memory: Option<u64>,
}

/// Measures all contestants in turn, as often as `rounds` says, after a short round that warms up and does not count.
pub(crate) fn run(contestants: Vec<Contestant>, rounds: Rounds) -> anyhow::Result<Vec<Score>> {
    let mut rates: Vec<Vec<f64>> = contestants.iter().map(|_| Vec::new()).collect();
    let mut totals: Vec<Measured> = contestants.iter().map(|_| Measured::default()).collect();
    for round in 0..=rounds.count {
        let is_warm_up = round == 0;
        let duration = if is_warm_up { rounds.duration / 3 } else { rounds.duration };
        for (index, contestant) in contestants.iter().enumerate() {
            let (rate, measured) = contestant.measure(duration)?;
            if !is_warm_up {
                rates[index].push(rate);
                totals[index].add(measured);
            }
        }
    }
    let results = contestants.into_iter().zip(rates).zip(totals);
    Ok(results.map(|((contestant, rates), total)| contestant.score(rates, &total)).collect())
}
