//! Start, stop and failure of a process. Time is paused: every wait is exact and takes no real time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kennel_app::{Abort, App, Cause, Component, Health, Phase, RunError, ShutdownConfig, Stop};
use kennel_config::HumanDuration;
use kennel_core::BoxError;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

type Log = Arc<Mutex<Vec<String>>>;

/// What a component does when it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behavior {
    Obey,
    /// Needs this long to finish its work after the stop request.
    Finish(Duration),
    EndAfter(Duration),
    FailAfter(Duration),
    PanicAfter(Duration),
    FailWhenAsked,
    /// Ends only when it is aborted.
    WaitForAbort,
    /// Never ends.
    Hang,
    FailToStart,
    PanicAtStart,
    NeverStart,
}

struct TestComponent {
    name: &'static str,
    phase: Phase,
    behavior: Behavior,
    log: Log,
}

impl TestComponent {
    fn log_event(&self, what: &str) {
        self.log.lock().unwrap().push(format!("{} {what}", self.name));
    }
}

impl Drop for TestComponent {
    fn drop(&mut self) {
        self.log_event("dropped");
    }
}

#[async_trait]
impl Component for TestComponent {
    fn name(&self) -> &'static str {
        self.name
    }

    fn phase(&self) -> Phase {
        self.phase
    }

    async fn init(&mut self) -> Result<(), BoxError> {
        self.log_event("init");
        match self.behavior {
            Behavior::FailToStart => Err("address in use".into()),
            Behavior::PanicAtStart => panic!("no luck"),
            Behavior::NeverStart => std::future::pending().await,
            _ => Ok(()),
        }
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        match self.behavior {
            Behavior::EndAfter(time) => {
                sleep(time).await;
                return Ok(());
            }
            Behavior::FailAfter(time) => {
                sleep(time).await;
                return Err("connection lost".into());
            }
            Behavior::PanicAfter(time) => {
                sleep(time).await;
                panic!("out of {}", "bones");
            }
            Behavior::WaitForAbort => stop.aborted().await,
            Behavior::Hang => std::future::pending().await,
            _ => stop.requested().await,
        }
        self.log_event("asked");
        if let Behavior::Finish(time) = self.behavior {
            sleep(time).await;
        }
        if self.behavior == Behavior::FailWhenAsked {
            return Err("last batch lost".into());
        }
        Ok(())
    }
}

struct Setup {
    log: Log,
    health: Health,
    stop: CancellationToken,
    components: Vec<TestComponent>,
}

impl Setup {
    fn new() -> Self {
        Self { log: Log::default(), health: Health::new(), stop: CancellationToken::new(), components: Vec::new() }
    }

    fn with(mut self, name: &'static str, phase: Phase, behavior: Behavior) -> Self {
        let log = Arc::clone(&self.log);
        self.components.push(TestComponent { name, phase, behavior, log });
        self
    }

    fn app(&mut self, options: ShutdownConfig) -> App {
        let app = App::new(options).health(self.health.clone());
        self.components.drain(..).fold(app, App::component)
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

const OPTIONS: ShutdownConfig =
    ShutdownConfig { drain_delay: HumanDuration::from_secs(0), shutdown_deadline: HumanDuration::from_secs(5) };

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
    let mut setup = Setup::new()
        .with("http", Phase::Transport, Behavior::Finish(seconds(1)))
        .with("store", Phase::Driver, Behavior::Obey)
        .with("relay", Phase::Worker, Behavior::Finish(seconds(1)))
        .with("cache", Phase::Driver, Behavior::Obey);
    setup.run().await.unwrap();
    assert_eq!(
        setup.log(),
        [
            "store init",
            "cache init",
            "relay init",
            "http init",
            "http asked",
            "http dropped",
            "relay asked",
            "relay dropped",
            "cache asked",
            "cache dropped",
            "store asked",
            "store dropped",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn components_of_a_phase_stop_together() {
    let mut setup = Setup::new().with("http", Phase::Transport, Behavior::Finish(seconds(3))).with(
        "grpc",
        Phase::Transport,
        Behavior::Finish(seconds(3)),
    );
    let started = Instant::now();
    setup.run().await.unwrap();
    assert_eq!(started.elapsed(), seconds(13));
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_is_named_and_stops_the_running_components() {
    let mut setup = Setup::new()
        .with("store", Phase::Driver, Behavior::Obey)
        .with("http", Phase::Transport, Behavior::FailToStart)
        .with("grpc", Phase::Transport, Behavior::Obey);
    let error = setup.run().await.unwrap_err();
    assert_eq!(error.to_string(), "component `http` could not start");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "address in use");
    assert!(setup.at("store dropped") > setup.at("http init"));
    assert!(!setup.log().contains(&"grpc init".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_panic_during_startup_is_named() {
    let mut setup = Setup::new().with("http", Phase::Transport, Behavior::PanicAtStart);
    let (name, cause) = failed(setup.run().await);
    assert!(name == "http" && matches!(&cause, Cause::Panicked(text) if text == "no luck"), "{cause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_startup_that_never_ends_can_be_stopped() {
    let mut setup =
        Setup::new().with("store", Phase::Driver, Behavior::NeverStart).with("http", Phase::Transport, Behavior::Obey);
    let started = Instant::now();
    setup.run().await.unwrap();
    assert_eq!(started.elapsed(), seconds(10));
    assert!(!setup.log().contains(&"http init".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_component_that_fails_while_another_starts_is_detected() {
    let mut setup = Setup::new().with("store", Phase::Driver, Behavior::FailAfter(seconds(1))).with(
        "http",
        Phase::Transport,
        Behavior::NeverStart,
    );
    let (name, _) = failed(setup.run().await);
    assert_eq!(name, "store");
    setup.at("http dropped");
}

#[tokio::test(start_paused = true)]
async fn an_end_without_a_stop_request_stops_everything_and_is_named() {
    for (behavior, text) in [
        (Behavior::EndAfter(seconds(1)), "component `relay` ended before a stop was requested"),
        (Behavior::FailAfter(seconds(1)), "component `relay` failed"),
        (Behavior::PanicAfter(seconds(1)), "component `relay` panicked: out of bones"),
    ] {
        let mut setup = Setup::new()
            .with("store", Phase::Driver, Behavior::Obey)
            .with("relay", Phase::Worker, behavior)
            .with("http", Phase::Transport, Behavior::Obey);
        let started = Instant::now();
        assert_eq!(setup.run().await.unwrap_err().to_string(), text);
        assert_eq!(started.elapsed(), seconds(1));
        assert!(setup.at("http asked") < setup.at("store asked"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_is_returned() {
    let mut setup = Setup::new()
        .with("store", Phase::Driver, Behavior::Hang)
        .with("relay", Phase::Worker, Behavior::FailAfter(seconds(1)))
        .with("http", Phase::Transport, Behavior::FailWhenAsked);
    let (name, cause) = failed(setup.run().await);
    assert!(name == "relay" && matches!(cause, Cause::Failed(_)), "{cause:?}");
}

#[tokio::test(start_paused = true)]
async fn an_error_while_stopping_is_an_error() {
    let mut setup = Setup::new().with("relay", Phase::Worker, Behavior::FailWhenAsked);
    let (name, cause) = failed(setup.run().await);
    assert!(name == "relay" && matches!(cause, Cause::Failed(_)), "{cause:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unresponsive_component_is_aborted_at_the_deadline_and_named() {
    let mut setup = Setup::new()
        .with("store", Phase::Driver, Behavior::Obey)
        .with("relay", Phase::Worker, Behavior::Hang)
        .with("http", Phase::Transport, Behavior::Finish(seconds(1)));
    let started = Instant::now();
    let error = setup.run().await.unwrap_err();
    assert_eq!(error.to_string(), "components did not stop in time: relay (asked 4.0 s before)");
    assert!(started.elapsed() < seconds(16), "{:?}", started.elapsed());
    assert!(started.elapsed() >= seconds(15), "{:?}", started.elapsed());
    tokio::task::yield_now().await;
    setup.at("relay dropped");
    setup.at("store dropped");
}

#[tokio::test(start_paused = true)]
async fn components_can_react_to_the_abort() {
    let mut setup = Setup::new().with("relay", Phase::Worker, Behavior::WaitForAbort);
    let error = setup.run().await.unwrap_err();
    assert!(
        matches!(&error, RunError::Unresponsive { components } if components[0].0 == "relay" && components.len() == 1),
        "{error:?}"
    );
    setup.at("relay asked");
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_aborts_immediately() {
    let mut setup = Setup::new().with("relay", Phase::Worker, Behavior::Hang);
    let app = setup.app(OPTIONS);
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
    let mut setup =
        Setup::new().with("http", Phase::Transport, Behavior::Obey).with("http", Phase::Transport, Behavior::Obey);
    let (name, cause) = failed(setup.run().await);
    assert!(name == "http" && matches!(cause, Cause::NameTaken), "{cause:?}");
}

#[tokio::test(start_paused = true)]
async fn without_components_it_waits_for_the_stop() {
    let started = Instant::now();
    Setup::new().run().await.unwrap();
    assert_eq!(started.elapsed(), seconds(10));
}

#[tokio::test(start_paused = true)]
async fn readiness_opens_last_and_closes_first_before_transports_drain() {
    let mut setup = Setup::new().with("http", Phase::Transport, Behavior::Finish(seconds(1)));
    let options = ShutdownConfig { drain_delay: HumanDuration::from_secs(2), ..OPTIONS };
    let (app, stop, mut ready) = (setup.app(options), setup.stop.clone(), setup.health.ready());
    assert!(!*ready.borrow_and_update());
    let watch = async {
        ready.changed().await.unwrap();
        assert!(*ready.borrow_and_update());
        assert_eq!(setup.log(), ["http init"]);
        let asked = Instant::now();
        stop.cancel();
        ready.changed().await.unwrap();
        assert!(!*ready.borrow_and_update());
        assert_eq!((asked.elapsed(), setup.log().len()), (Duration::ZERO, 1));
        sleep(Duration::from_millis(1_999)).await;
        assert_eq!(setup.log().len(), 1, "still serving during the drain delay");
        asked
    };
    let (result, asked) = tokio::join!(app.run(setup.stop.clone().cancelled_owned()), watch);
    result.unwrap();
    assert_eq!(asked.elapsed(), seconds(3));
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_never_opens_readiness() {
    let mut setup = Setup::new().with("http", Phase::Transport, Behavior::Obey).with(
        "grpc",
        Phase::Transport,
        Behavior::FailToStart,
    );
    let ready = setup.health.ready();
    setup.run().await.unwrap_err();
    assert!(!ready.has_changed().unwrap());
}
