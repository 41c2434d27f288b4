//! Events whose handler terminates the process. No handler of the service does, so the test binary is started as a
//! replacement of the relay and the thumbnailer, with the same settings, store and broker.

use std::fs::OpenOptions;
use std::future::pending;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use dogs::Dogs;
use dogs_domain::events::{DogCreated, TOPIC};
use kennel_app::{App, ShutdownConfig};
use kennel_broker::{Backend, SharedBroker};
use kennel_core::{Clock, Event, EventFilter, EventType as _, IdSource as _, Receipt, SystemClock, UuidV7};
use kennel_outbox::{
    Consumer, ConsumerMetrics, ConsumerPorts, Handled, Handler, HandlerError, Quarantine, Relay, RelayMetrics,
};
use kennel_service::ProgramSettings;
use prometheus::Registry;
use tokio::process::Child;

use crate::broker::{ProxiedBroker, proxied_broker, with_variables};
use crate::service_dir::{ServiceDir, eventually};

/// The environment variable with the file to which the replacement process writes the names of dogs.
const HANDLED: &str = "TEST_HANDLED_FILE";
/// Dogs with this name terminate the process that handles them.
const KILLER: &str = "killer";
const GROUP: &str = "dogs.thumbnailer";
const ATTEMPTS: usize = 2;

struct AbortingHandler {
    handled: PathBuf,
}

#[async_trait]
impl Handler for AbortingHandler {
    fn filter(&self) -> EventFilter {
        EventFilter::names([DogCreated::NAME])
    }

    async fn handle(&self, event: &Event, _receipt: &Receipt) -> Result<Handled, HandlerError> {
        let dog = event.decode::<DogCreated>().unwrap().unwrap();
        let name = dog.name.unwrap_or_default();
        if name == KILLER {
            std::process::abort();
        }
        let mut file = OpenOptions::new().append(true).create(true).open(&self.handled).unwrap();
        writeln!(file, "{name}").unwrap();
        Ok(Handled::Done)
    }
}

#[test]
#[ignore = "the process that the tests of this module start"]
fn process() {
    let handled = std::env::var_os(HANDLED).expect("it is started by a test").into();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let environment = kennel_config::Environment::from_process();
        let settings = kennel_config::load::<ProgramSettings<Dogs>>(&environment).unwrap().settings.service.standard;
        let stores = dogs_storages::open(&settings.storage, &Registry::new()).await.unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let sink = Arc::clone(&stores.database.dead_letter_sink);
        let shared = SharedBroker::default();
        let broker = kennel_broker::connect(&settings.broker, &shared, sink, Arc::clone(&clock)).await.unwrap().broker;
        let registry = Registry::new();
        let ports = ConsumerPorts {
            subscriber: Arc::<dyn kennel_broker::Broker>::clone(&broker),
            inbox: Arc::clone(&stores.database.inbox),
            clock: Arc::clone(&clock),
            metrics: ConsumerMetrics::register(&registry).unwrap(),
            quarantine: Quarantine::default(),
            system: "test",
        };
        let consumer =
            Consumer::new(GROUP, TOPIC, Arc::new(AbortingHandler { handled }), settings.outbox.consumer(), ports);
        let metrics = RelayMetrics::register(&registry).unwrap();
        let relay = settings.outbox.relay(1_000);
        let relay = Relay::new(Arc::clone(&stores.database.outbox), broker, clock, UuidV7.next(), relay, metrics);
        App::new(ShutdownConfig::default()).component(consumer).component(relay).run(pending::<()>()).await.unwrap();
    });
}

fn start(directory: &ServiceDir, handled: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "killers::process", "--ignored", "--nocapture"]).env_clear().envs(directory.variables());
    command
        .env(HANDLED, handled)
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    tokio::process::Command::from(command).kill_on_drop(true).spawn().unwrap()
}

/// Restarts the process until there is a dead letter; returns the number of aborts.
async fn count_aborts(directory: &ServiceDir, process: &mut Child, handled: &Path) -> usize {
    let mut aborts = 0;
    eventually("the event is a dead letter", async || {
        if let Some(status) = process.try_wait().unwrap() {
            assert_eq!(status.code(), None, "it is terminated by a signal");
            aborts += 1;
            assert!(aborts <= 2 * ATTEMPTS + 2, "it aborts too often");
            *process = start(directory, handled);
        }
        let listed = directory.run(&["dlq", "list"]).await.ends(0).stdout;
        (!listed.is_empty()).then_some(())
    })
    .await;
    aborts
}

/// The names of the handled dogs, once there are `all`.
async fn handled(file: &Path, all: usize) -> Vec<String> {
    eventually("the other events are handled", async || {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let mut names: Vec<_> = text.lines().map(str::to_owned).collect();
        names.sort();
        names.dedup();
        (names.len() >= all).then_some(names)
    })
    .await
}

pub async fn an_event_that_ends_the_process_becomes_a_dead_letter_and_the_others_go_through(broker: Backend) {
    let Some(proxied) = proxied_broker(broker).await else { return };
    let variables = proxied.as_ref().map(ProxiedBroker::direct).unwrap_or_default();
    let directory = with_variables(ServiceDir::new().set("CONSUMER_MAX_ATTEMPTS", &ATTEMPTS.to_string()), variables);
    let served = directory.serve_without_relay().await;
    for name in ["a", "b", "c", KILLER, "d", "e", "f"] {
        served.dog(name).await;
    }
    let file = directory.path().join("handled");
    let mut process = start(&directory, &file);
    // Events from before the start of the process are counted from the first attempt.
    assert_eq!(count_aborts(&directory, &mut process, &file).await, ATTEMPTS);
    assert_eq!(handled(&file, 6).await, ["a", "b", "c", "d", "e", "f"]);
    let event = dead_letter(&directory).await;
    directory.run(&["dlq", "drop", &event]).await.ends(0);
    process.kill().await.unwrap();
    served.stop().await;
}

/// An event from after the start of the process can cost one more attempt: its first delivery is not counted, unless the
/// broker has delivered it before.
pub async fn an_event_that_ends_a_process_that_runs_costs_one_attempt_more(broker: Backend) {
    let Some(proxied) = proxied_broker(broker).await else { return };
    let variables = proxied.as_ref().map(ProxiedBroker::direct).unwrap_or_default();
    let directory = with_variables(ServiceDir::new().set("CONSUMER_MAX_ATTEMPTS", &ATTEMPTS.to_string()), variables);
    let served = directory.serve_without_relay().await;
    let file = directory.path().join("handled");
    let mut process = start(&directory, &file);
    served.dog("a").await;
    handled(&file, 1).await;
    served.dog(KILLER).await;
    served.dog("b").await;
    let aborts = count_aborts(&directory, &mut process, &file).await;
    assert!((ATTEMPTS..=ATTEMPTS + 1).contains(&aborts), "{aborts}");
    assert_eq!(handled(&file, 2).await, ["a", "b"]);
    dead_letter(&directory).await;
    process.kill().await.unwrap();
    served.stop().await;
}

/// The id of the only dead letter. Asserts its reason.
async fn dead_letter(directory: &ServiceDir) -> String {
    let listed = directory.run(&["dlq", "list"]).await.ends(0).stdout;
    assert_eq!(listed.lines().count(), 1, "{listed}");
    let event = listed.split("  ").next().unwrap().to_owned();
    let shown = directory.run(&["dlq", "show", &event]).await.ends(0).stdout;
    let dead_letter: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let failure = &dead_letter["failures"][0];
    assert_eq!(
        (&dead_letter["data"]["name"], &failure["attempts"]),
        (&KILLER.into(), &ATTEMPTS.into()),
        "{dead_letter}"
    );
    assert!(
        failure["reason"].as_str().unwrap().starts_with("the process terminated during each attempt"),
        "{dead_letter}"
    );
    event
}
