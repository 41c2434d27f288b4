//! `dogs storage copy`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use dogs_store_copy::{CopyOptions, CopyProgress, StoreCopy, StoreHandle, Verification};
use indicatif::ProgressBar;
use kennel_app::{Stop, signals};
use tokio::time::Instant;

use crate::cli::args;
use crate::cli::progress_bar;
use kennel_service::output::print_line;

/// How often progress is printed while applying changes, when standard error is not a terminal.
const PRINT_INTERVAL: Duration = Duration::from_secs(5);

/// Copies, applies later changes, verifies, and prints the result.
pub(super) async fn run(from: &StoreHandle, to: &StoreHandle, options: args::Copy) -> anyhow::Result<ExitCode> {
    let stop = Stop::new();
    let signal = signals()?;
    let aborted = async {
        let abort = signal.await;
        stop.request();
        abort.wait().await;
    };
    tokio::select! {
        ended = copy(from, to, options, stop.clone()) => ended,
        () = aborted => bail!("aborted; run the command again to resume"),
    }
}

async fn copy(from: &StoreHandle, to: &StoreHandle, options: args::Copy, stop: Stop) -> anyhow::Result<ExitCode> {
    let counts = from.stores.dogs.count_by_breed().await?;
    let reporter = ProgressReporter::new(from.name, to.name, counts.iter().map(|count| count.dogs).sum());
    let bar = reporter.bar.clone();
    let options = CopyOptions { follow: options.follow, overwrite: options.overwrite };
    let mut copy = StoreCopy::start(from.clone(), to.clone(), options, stop, reporter.into_callback()).await?;
    copy.run().await?;
    bar.set_message("verifying");
    let verification = copy.verify().await?;
    bar.finish_and_clear();
    print_result(&verification, from.name, to.name)
}

fn print_result(verification: &Verification, from_name: &str, to_name: &str) -> anyhow::Result<ExitCode> {
    let Verification { from, to, in_flight, differing, examples } = verification;
    if *differing > 0 {
        let examples: Vec<_> = examples.iter().map(ToString::to_string).collect();
        bail!(
            "{differing} dogs differ, such as {}; list the differences with `dogs storage diff --from {from_name} --to {to_name}`",
            examples.join(", ")
        );
    }
    if *in_flight > 0 {
        print_line(format_args!(
            "verified: {} dogs, {in_flight} of them twice because they were changed during the scan",
            to.dogs
        ))?;
    } else {
        print_line(format_args!("verified: {} dogs, sha256 {} in both stores", from.dogs, from.digest()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows the progress of a copy: as a bar on a terminal, else as a line at intervals.
struct ProgressReporter {
    from: &'static str,
    to: &'static str,
    bar: ProgressBar,
    scan_started: Instant,
    scanned: (u64, u64),
    last_line: Option<(Instant, u64)>,
}

impl ProgressReporter {
    fn new(from: &'static str, to: &'static str, dogs: u64) -> Self {
        let bar = progress_bar::new(Some(dogs), "{wide_bar} {pos}/{len} {per_sec} eta {eta}  {msg}");
        Self { from, to, bar, scan_started: Instant::now(), scanned: (0, 0), last_line: None }
    }

    fn into_callback(mut self) -> impl FnMut(CopyProgress) + Send {
        move |progress| self.report(progress)
    }

    fn report(&mut self, progress: CopyProgress) {
        let (from, to) = (self.from, self.to);
        match progress {
            CopyProgress::Resumed => self.print("resuming an earlier run"),
            CopyProgress::EventsPurged => {
                self.print(&format!("{from} purged events that were not applied yet: comparing all dogs again"));
                self.restart();
            }
            CopyProgress::DogsUnnamed => {
                self.print("the events of an import do not name its dogs: comparing all dogs again");
                self.restart();
            }
            CopyProgress::Scanned { dogs, copied } => {
                self.scanned = (dogs, copied);
                self.bar.set_position(dogs);
                self.bar.set_message(format!("{copied} copied"));
            }
            CopyProgress::ScanFinished => {
                let ((dogs, copied), seconds) = (self.scanned, self.scan_started.elapsed().as_secs_f64());
                self.print(&format!("{dogs} dogs scanned, {copied} copied to {to} in {seconds:.1} s"));
            }
            CopyProgress::ChangesApplied { changes, lag } => self.report_changes(changes, lag),
        }
    }

    fn restart(&mut self) {
        self.bar.reset();
        (self.scan_started, self.scanned) = (Instant::now(), (0, 0));
    }

    fn report_changes(&mut self, changes: u64, lag: Duration) {
        let line = format!("following {}: {changes} changes applied, lag {:.1} s", self.from, lag.as_secs_f64());
        self.bar.set_message(line.clone());
        let due = self.last_line.is_none_or(|(at, before)| at.elapsed() >= PRINT_INTERVAL && before != changes);
        if due && self.bar.is_hidden() {
            self.print(&line);
            self.last_line = Some((Instant::now(), changes));
        }
    }

    fn print(&self, line: &str) {
        // The copy continues when standard output is closed.
        self.bar.suspend(|| drop(print_line(line)));
    }
}
