//! `dogs storage copy`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use indicatif::ProgressBar;
use kennel_app::{Stop, signals};
use tokio::time::Instant;

use crate::cli::args;
use crate::cli::out::say;
use crate::cli::progress;
use crate::moving::{Copy, End, Options, Told, Verdict};

/// How often it is told how far behind the copy is, where there is no terminal.
const EVERY: Duration = Duration::from_secs(5);

/// Copies, follows, verifies, and says what came of it.
pub(super) async fn run(from: &End, to: &End, options: args::Copy) -> anyhow::Result<ExitCode> {
    let stop = Stop::new();
    let signal = signals()?;
    let aborted = async {
        let abort = signal.await;
        stop.request();
        abort.wait().await;
    };
    tokio::select! {
        ended = copy(from, to, options, stop.clone()) => ended,
        () = aborted => bail!("stopped at once; run it again to go on"),
    }
}

async fn copy(from: &End, to: &End, options: args::Copy, stop: Stop) -> anyhow::Result<ExitCode> {
    let counts = from.stores.dogs.count_by_breed().await?;
    let teller = Teller::new(from.name, to.name, counts.iter().map(|count| count.dogs).sum());
    let bar = teller.bar.clone();
    let options = Options { follow: options.follow, overwrite: options.overwrite };
    let mut copy = Copy::begin(from.clone(), to.clone(), options, stop, teller.listen()).await?;
    copy.run().await?;
    bar.set_message("verifying");
    let verdict = copy.verify().await?;
    bar.finish_and_clear();
    report(&verdict, from.name, to.name)
}

fn report(verdict: &Verdict, from: &str, to: &str) -> anyhow::Result<ExitCode> {
    let Verdict { from: there, to: here, in_flight, differing, examples } = verdict;
    if *differing > 0 {
        let some: Vec<_> = examples.iter().map(ToString::to_string).collect();
        bail!(
            "{differing} dogs differ, such as {}; `dogs storage diff --from {from} --to {to}` tells how",
            some.join(", ")
        );
    }
    if *in_flight > 0 {
        say(format_args!(
            "verified: {} dogs, {in_flight} of them once more, for they were changed meanwhile",
            here.dogs
        ))?;
    } else {
        say(format_args!("verified: {} dogs, sha256 {} in both stores", there.dogs, there.digest()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says how the copy goes on: on a terminal with a bar, elsewhere by a line now and then.
struct Teller {
    from: &'static str,
    to: &'static str,
    bar: ProgressBar,
    began: Instant,
    walked: (u64, u64),
    said: Option<(Instant, u64)>,
}

impl Teller {
    fn new(from: &'static str, to: &'static str, dogs: u64) -> Self {
        let bar = progress::bar(Some(dogs), "{wide_bar} {pos}/{len} {per_sec} eta {eta}  {msg}");
        Self { from, to, bar, began: Instant::now(), walked: (0, 0), said: None }
    }

    fn listen(mut self) -> impl FnMut(Told) + Send {
        move |told| self.tell(told)
    }

    fn tell(&mut self, told: Told) {
        let (from, to) = (self.from, self.to);
        match told {
            Told::Resumed => self.line("going on where an earlier run stopped"),
            Told::Forgotten => {
                self.line(&format!("{from} has forgotten events that were not carried over: comparing all dogs anew"));
                self.restart();
            }
            Told::Unnamed => {
                self.line("an import does not tell of its dogs one by one: comparing all dogs anew");
                self.restart();
            }
            Told::Walked { dogs, carried } => {
                self.walked = (dogs, carried);
                self.bar.set_position(dogs);
                self.bar.set_message(format!("{carried} carried"));
            }
            Told::Through => {
                let ((dogs, carried), seconds) = (self.walked, self.began.elapsed().as_secs_f64());
                self.line(&format!("{dogs} dogs walked through, {carried} carried to {to} in {seconds:.1} s"));
            }
            Told::Followed { changes, lag } => self.followed(changes, lag),
        }
    }

    fn restart(&mut self) {
        self.bar.reset();
        (self.began, self.walked) = (Instant::now(), (0, 0));
    }

    fn followed(&mut self, changes: u64, lag: Duration) {
        let line = format!("following {}: {changes} changes carried, lag {:.1} s", self.from, lag.as_secs_f64());
        self.bar.set_message(line.clone());
        let due = self.said.is_none_or(|(at, before)| at.elapsed() >= EVERY && before != changes);
        if due && self.bar.is_hidden() {
            self.line(&line);
            self.said = Some((Instant::now(), changes));
        }
    }

    fn line(&self, line: &str) {
        // Who closed standard output wants to hear no more of it; the copy goes on.
        self.bar.suspend(|| drop(say(line)));
    }
}
