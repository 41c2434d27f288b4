//! The scenario whose spans and metrics are compared: dogs are created, fetched, read, updated and deleted, step by step.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Duration;

use kennel_proto::dogs::v1::{DeleteDogRequest, GetDogRequest, UpdateDogRequest};
use kennel_testkit::otlp::{Forest, Span};
use serde_json::json;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::metrics;
use crate::pair::{Pair, TestEnvironment};
use crate::service_dir::RunningService;

/// The outcome of a run, shared by tests; `None` when a server is missing.
pub type SharedRun = OnceCell<Option<Outcome>>;

/// The telemetry of a run.
pub struct Outcome {
    /// The trace of each step.
    pub spans: String,
    /// The families of metrics afterwards.
    pub metrics: String,
}

/// The asynchronous effects of a step.
struct Effects {
    /// Events that are published.
    events: usize,
    /// Deliveries that are handled.
    handled: usize,
}

/// The step has no effects.
const NO_EFFECT: Effects = Effects { events: 0, handled: 0 };
/// New dogs are in no cache.
const CREATED: Effects = Effects { events: 1, handled: 0 };
/// The cached dog is invalidated.
const CHANGED: Effects = Effects { events: 1, handled: 1 };
/// A thumbnail is created, and the cached dog is invalidated.
const FETCHED: Effects = Effects { events: 3, handled: 2 };

/// How many times a dog is renamed until its cache entry is invalidated, and how long each attempt waits.
const MAX_RENAMES: usize = 30;
const INVALIDATION_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs the scenario with this pair, once for all tests.
pub async fn outcome(pair: Pair, run_once: &SharedRun) -> Option<&Outcome> {
    run_once.get_or_init(|| run(pair)).await.as_ref()
}

async fn run(pair: Pair) -> Option<Outcome> {
    let environment = pair.set_up().await?;
    let served = environment.serve().await;
    let mut run = Run { environment: &environment, served: &served, seen: HashSet::new(), text: String::new() };
    run.wait_for_subscription().await;
    run.run_steps().await;
    let (spans, metrics) = (run.text, metrics::of(pair, &served).await);
    served.stop().await;
    Some(Outcome { spans, metrics })
}

struct Run<'a> {
    environment: &'a TestEnvironment,
    served: &'a RunningService,
    seen: HashSet<Vec<u8>>,
    text: String,
}

impl Run<'_> {
    /// Renames a dog until its cache entry is invalidated: a ready process may not have subscribed to the broker yet, and
    /// misses events that were published before.
    async fn wait_for_subscription(&mut self) {
        let path = format!("/api/v1/dogs/{}", self.served.dog("marker").await);
        let created = self.step("the marker is created", &CREATED).await;
        self.seen.insert(created.trace);
        for call in 0..MAX_RENAMES {
            self.rename(&path, &format!("marker {call}")).await;
            let renamed = self.step("the marker is renamed", &CREATED).await;
            let invalidated = timeout(INVALIDATION_TIMEOUT, self.step("the cached dog is invalidated", &CHANGED)).await;
            self.seen.insert(renamed.trace);
            if invalidated.is_ok() {
                return;
            }
        }
        panic!("none of {MAX_RENAMES} changes invalidated the cached dog");
    }

    async fn run_steps(&mut self) {
        let served = self.served;
        let mut rpc = served.rpc();

        let created = served.dog("Rex").await;
        self.record("POST /api/v1/dogs creates a dog", CREATED).await;
        let fetched = served.fetch().await;
        self.record("GET /api/v1/dogs/husky/image fetches an image", FETCHED).await;
        let path = format!("/api/v1/dogs/{fetched}");
        served.get(&path).await.expect(200);
        self.record("GET /api/v1/dogs/{id} reads from the store", NO_EFFECT).await;
        served.get(&path).await.expect(200);
        self.record("GET /api/v1/dogs/{id} reads from the cache", NO_EFFECT).await;
        self.rename(&path, "Laika").await;
        self.record("PATCH /api/v1/dogs/{id} updates it", CHANGED).await;
        rpc.get_dog(GetDogRequest { id: fetched.clone() }).await.unwrap();
        self.record("GetDog reads from the store again", NO_EFFECT).await;
        served.get(&format!("{path}/photo?variant=thumbnail")).await.expect(200);
        self.record("GET /api/v1/dogs/{id}/photo reads the thumbnail", NO_EFFECT).await;
        let change = UpdateDogRequest { id: fetched, name: Some("Belka".to_owned()), ..Default::default() };
        rpc.update_dog(change).await.unwrap();
        self.record("UpdateDog updates it", CHANGED).await;
        rpc.delete_dog(DeleteDogRequest { id: created, expected_revision: None }).await.unwrap();
        self.record("DeleteDog deletes the first one", CHANGED).await;
        let lines = "{\"breed\":\"boxer\"}\n{\"breed\":\"pug\"}\n";
        let import = served.request("POST", "/api/v1/dogs/import").header("content-type", "application/x-ndjson");
        assert_eq!(import.body(lines).send().await.unwrap().status(), 200);
        self.record("POST /api/v1/dogs/import imports two dogs", CREATED).await;
    }

    async fn rename(&self, path: &str, name: &str) {
        let renaming = self.served.request("PATCH", path).json(&json!({ "name": name }));
        assert_eq!(renaming.send().await.unwrap().status(), 200);
    }

    /// Waits for all spans of a step, so that steps do not overlap, and records them.
    async fn record(&mut self, title: &str, effects: Effects) {
        let step = self.step(title, &effects).await;
        write!(self.text, "# {title}\n{}\n", step.text).unwrap();
        self.seen.insert(step.trace);
    }

    /// The step with a new trace, once it is complete.
    async fn step(&self, title: &str, effects: &Effects) -> Step {
        let step = |spans: &[Span]| Step::find(spans, &self.seen).filter(|step| step.is_complete(effects));
        self.environment.collector.until(title, step).await
    }
}

/// The received spans of a step.
struct Step {
    trace: Vec<u8>,
    text: String,
    created: usize,
    published: usize,
    handled: usize,
}

impl Step {
    /// The step whose trace is not in `seen`, once its request is complete.
    fn find(spans: &[Span], seen: &HashSet<Vec<u8>>) -> Option<Self> {
        let forest = Forest::of(spans);
        let is_request = |span: &Span| span.kind == 2 && span.parent_span_id.is_empty();
        let root = forest.roots().iter().find(|root| is_request(root) && !seen.contains(&root.trace_id))?;
        let linked = forest.linked_to(&root.trace_id);
        let relayed: Vec<_> = linked.iter().map(|root| root.trace_id.as_slice()).collect();
        let inside =
            |name: &str| spans.iter().filter(|span| span.trace_id == root.trace_id && span.name == name).count();
        // Parents arrive after their children: a batch is complete once its first span has arrived.
        let has_parent = |span: &Span| spans.iter().any(|other| other.span_id == span.parent_span_id);
        let marked = |span: &&Span| {
            let is_mark = span.name == "db.outbox.mark_published" && has_parent(span);
            is_mark && relayed.contains(&span.trace_id.as_slice())
        };
        let sizes = spans.iter().filter(marked).map(size);
        let mut text = forest.tree(root, 0);
        text.extend(linked.iter().map(|root| forest.tree(root, 0)));
        Some(Self {
            trace: root.trace_id.clone(),
            text,
            created: inside("create dogs.events"),
            published: sizes.sum(),
            handled: inside("process dogs.events"),
        })
    }

    fn is_complete(&self, effects: &Effects) -> bool {
        self.created >= effects.events && self.published >= effects.events && self.handled >= effects.handled
    }
}

/// The batch size of a call.
fn size(span: &Span) -> usize {
    let size = span.attributes.iter().find(|pair| pair.key == "db.operation.batch.size");
    let size = size.and_then(kennel_testkit::otlp::integer);
    size.and_then(|size| usize::try_from(size).ok()).unwrap_or(0)
}
