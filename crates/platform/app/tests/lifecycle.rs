//! How a process starts, stops and fails. Time is paused: every wait is exact and takes no time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kennel_app::{Abort, App, Cause, Component, Health, Options, Phase, RunError, Stop};
use kennel_core::BoxError;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

type Log = Arc<Mutex<Vec<String>>>;

/// What a part does when it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Obey,
    /// Needs this long to finish its work after it was asked to stop.
    Finish(Duration),
    EndAfter(Duration),
    FailAfter(Duration),
    PanicAfter(Duration),
    FailWhenAsked,
    /// Only a hard stop ends it.
    WaitForAbort,
    /// Nothing ends it.
    Hang,
    FailToStart,
    PanicAtStart,
    NeverStart,
}

struct Part {
    name: &'static str,
    phase: Phase,
    act: Act,
    log: Log,
}

impl Part {
    fn note(&self, what: &str) {
        self.log.lock().unwrap().push(format!("{} {what}", self.name));
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.note("gone");
    }
}

#[async_trait]
impl Component for Part {
    fn name(&self) -> &'static str {
        self.name
    }

    fn phase(&self) -> Phase {
        self.phase
    }

    async fn init(&mut self) -> Result<(), BoxError> {
        self.note("init");
        match self.act {
            Act::FailToStart => Err("address in use".into()),
            Act::PanicAtStart => panic!("no luck"),
            Act::NeverStart => std::future::pending().await,
            _ => Ok(()),
        }
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        match self.act {
            Act::EndAfter(time) => {
                sleep(time).await;
                return Ok(());
            }
            Act::FailAfter(time) => {
                sleep(time).await;
                return Err("connection lost".into());
            }
            Act::PanicAfter(time) => {
                sleep(time).await;
                panic!("out of {}", "bones");
            }
            Act::WaitForAbort => stop.aborted().await,
            Act::Hang => std::future::pending().await,
            _ => stop.requested().await,
        }
        self.note("asked");
        if let Act::Finish(time) = self.act {
            sleep(time).await;
        }
        if self.act == Act::FailWhenAsked {
            return Err("last batch lost".into());
        }
        Ok(())
    }
}

struct Bench {
    log: Log,
    health: Health,
    stop: CancellationToken,
    parts: Vec<Part>,
}

impl Bench {
    fn new() -> Self {
        Self { log: Log::default(), health: Health::new(), stop: CancellationToken::new(), parts: Vec::new() }
    }

    fn part(mut self, name: &'static str, phase: Phase, act: Act) -> Self {
        let log = Arc::clone(&self.log);
        self.parts.push(Part { name, phase, act, log });
        self
    }

    fn app(&mut self, options: Options) -> App {
        let app = App::new(options).health(self.health.clone());
        self.parts.drain(..).fold(app, App::component)
    }

    /// Runs until ten seconds have passed.
    async fn run(&mut self) -> Result<(), RunError> {
        let app = self.app(OPTIONS);
        app.run(sleep(seconds(10))).await
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    fn at(&self, what: &str) -> usize {
        let log = self.log();
        log.iter().position(|line| line == what).unwrap_or_else(|| panic!("no {what:?} in {log:?}"))
    }
}

const OPTIONS: Options = Options { drain_delay: Duration::ZERO, deadline: Duration::from_secs(5) };

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn failed(result: Result<(), RunError>) -> (&'static str, Cause) {
    match result {
        Err(RunError::Component { component, cause }) => (component, cause),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn starts_by_phase_and_stops_in_reverse() {
    let mut bench = Bench::new()
        .part("http", Phase::Transport, Act::Finish(seconds(1)))
        .part("store", Phase::Driver, Act::Obey)
        .part("relay", Phase::Worker, Act::Finish(seconds(1)))
        .part("cache", Phase::Driver, Act::Obey);
    bench.run().await.unwrap();
    assert_eq!(
        bench.log(),
        [
            "store init",
            "cache init",
            "relay init",
            "http init",
            "http asked",
            "http gone",
            "relay asked",
            "relay gone",
            "cache asked",
            "cache gone",
            "store asked",
            "store gone",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn members_of_a_phase_stop_together() {
    let mut bench = Bench::new().part("http", Phase::Transport, Act::Finish(seconds(3))).part(
        "grpc",
        Phase::Transport,
        Act::Finish(seconds(3)),
    );
    let started = Instant::now();
    bench.run().await.unwrap();
    assert_eq!(started.elapsed(), seconds(13));
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_is_named_and_stops_what_is_up() {
    let mut bench = Bench::new()
        .part("store", Phase::Driver, Act::Obey)
        .part("http", Phase::Transport, Act::FailToStart)
        .part("grpc", Phase::Transport, Act::Obey);
    let error = bench.run().await.unwrap_err();
    assert_eq!(error.to_string(), "component `http` could not start");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "address in use");
    assert!(bench.at("store gone") > bench.at("http init"));
    assert!(!bench.log().contains(&"grpc init".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_panic_at_the_start_is_named() {
    let mut bench = Bench::new().part("http", Phase::Transport, Act::PanicAtStart);
    let (name, cause) = failed(bench.run().await);
    assert!(name == "http" && matches!(&cause, Cause::Panicked(text) if text == "no luck"), "{cause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_start_that_takes_for_ever_can_be_stopped() {
    let mut bench =
        Bench::new().part("store", Phase::Driver, Act::NeverStart).part("http", Phase::Transport, Act::Obey);
    let started = Instant::now();
    bench.run().await.unwrap();
    assert_eq!(started.elapsed(), seconds(10));
    assert!(!bench.log().contains(&"http init".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_component_that_dies_while_another_starts_is_noticed() {
    let mut bench = Bench::new().part("store", Phase::Driver, Act::FailAfter(seconds(1))).part(
        "http",
        Phase::Transport,
        Act::NeverStart,
    );
    let (name, _) = failed(bench.run().await);
    assert_eq!(name, "store");
    bench.at("http gone");
}

#[tokio::test(start_paused = true)]
async fn an_unasked_end_stops_everything_and_is_named() {
    for (act, text) in [
        (Act::EndAfter(seconds(1)), "component `relay` ended before it was asked to"),
        (Act::FailAfter(seconds(1)), "component `relay` failed"),
        (Act::PanicAfter(seconds(1)), "component `relay` panicked: out of bones"),
    ] {
        let mut bench = Bench::new().part("store", Phase::Driver, Act::Obey).part("relay", Phase::Worker, act).part(
            "http",
            Phase::Transport,
            Act::Obey,
        );
        let started = Instant::now();
        assert_eq!(bench.run().await.unwrap_err().to_string(), text);
        assert_eq!(started.elapsed(), seconds(1));
        assert!(bench.at("http asked") < bench.at("store asked"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_cause_wins() {
    let mut bench = Bench::new()
        .part("store", Phase::Driver, Act::Hang)
        .part("relay", Phase::Worker, Act::FailAfter(seconds(1)))
        .part("http", Phase::Transport, Act::FailWhenAsked);
    let (name, cause) = failed(bench.run().await);
    assert!(name == "relay" && matches!(cause, Cause::Failed(_)), "{cause:?}");
}

#[tokio::test(start_paused = true)]
async fn an_error_while_stopping_is_an_error() {
    let mut bench = Bench::new().part("relay", Phase::Worker, Act::FailWhenAsked);
    let (name, cause) = failed(bench.run().await);
    assert!(name == "relay" && matches!(cause, Cause::Failed(_)), "{cause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hang_is_cut_off_at_the_deadline_and_named() {
    let mut bench = Bench::new().part("store", Phase::Driver, Act::Obey).part("relay", Phase::Worker, Act::Hang).part(
        "http",
        Phase::Transport,
        Act::Finish(seconds(1)),
    );
    let started = Instant::now();
    let error = bench.run().await.unwrap_err();
    assert_eq!(error.to_string(), "components did not stop in time: relay (asked 4.0 s before)");
    assert!(started.elapsed() < seconds(16), "{:?}", started.elapsed());
    assert!(started.elapsed() >= seconds(15), "{:?}", started.elapsed());
    tokio::task::yield_now().await;
    bench.at("relay gone");
    bench.at("store gone");
}

#[tokio::test(start_paused = true)]
async fn a_hard_stop_gives_a_last_chance() {
    let mut bench = Bench::new().part("relay", Phase::Worker, Act::WaitForAbort);
    let error = bench.run().await.unwrap_err();
    assert!(
        matches!(&error, RunError::Hung { components } if components[0].0 == "relay" && components.len() == 1),
        "{error:?}"
    );
    bench.at("relay asked");
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_aborts_at_once() {
    let mut bench = Bench::new().part("relay", Phase::Worker, Act::Hang);
    let app = bench.app(OPTIONS);
    let started = Instant::now();
    let signals = async {
        sleep(seconds(10)).await;
        Abort::when(sleep(seconds(2)))
    };
    let error = app.run(signals).await.unwrap_err();
    assert!(matches!(error, RunError::Aborted), "{error:?}");
    assert_eq!(started.elapsed(), seconds(12));
}

#[tokio::test(start_paused = true)]
async fn names_are_unique() {
    let mut bench = Bench::new().part("http", Phase::Transport, Act::Obey).part("http", Phase::Transport, Act::Obey);
    let (name, cause) = failed(bench.run().await);
    assert!(name == "http" && matches!(cause, Cause::NameTaken), "{cause:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_to_run_waits_for_the_stop() {
    let started = Instant::now();
    Bench::new().run().await.unwrap();
    assert_eq!(started.elapsed(), seconds(10));
}

#[tokio::test(start_paused = true)]
async fn readiness_opens_last_closes_first_and_transports_drain() {
    let mut bench = Bench::new().part("http", Phase::Transport, Act::Finish(seconds(1)));
    let options = Options { drain_delay: seconds(2), deadline: seconds(5) };
    let (app, stop, mut ready) = (bench.app(options), bench.stop.clone(), bench.health.ready());
    assert!(!*ready.borrow_and_update());
    let watch = async {
        ready.changed().await.unwrap();
        assert!(*ready.borrow_and_update());
        assert_eq!(bench.log(), ["http init"]);
        let asked = Instant::now();
        stop.cancel();
        ready.changed().await.unwrap();
        assert!(!*ready.borrow_and_update());
        assert_eq!((asked.elapsed(), bench.log().len()), (Duration::ZERO, 1));
        sleep(Duration::from_millis(1_999)).await;
        assert_eq!(bench.log().len(), 1, "still serving while load balancers look away");
        asked
    };
    let (result, asked) = tokio::join!(app.run(bench.stop.clone().cancelled_owned()), watch);
    result.unwrap();
    assert_eq!(asked.elapsed(), seconds(3));
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_never_opens_readiness() {
    let mut bench =
        Bench::new().part("http", Phase::Transport, Act::Obey).part("grpc", Phase::Transport, Act::FailToStart);
    let ready = bench.health.ready();
    bench.run().await.unwrap_err();
    assert!(!ready.has_changed().unwrap());
}
