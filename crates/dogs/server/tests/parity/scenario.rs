//! The run that spans and metrics are of: dogs are made, fetched, read, changed and removed, one step after the other.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Duration;

use kennel_proto::dogs::v1::{DeleteDogRequest, GetDogRequest, UpdateDogRequest};
use kennel_testkit::otlp::{Forest, Span};
use serde_json::json;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::metrics;
use crate::pair::{Kennel, Pair};
use crate::service_dir::RunningService;

/// What a run came to; `None` when a server is missing.
pub type Told = OnceCell<Option<Outcome>>;

/// What is told of a run.
pub struct Outcome {
    /// The trace of each step.
    pub spans: String,
    /// The families of metrics afterwards.
    pub metrics: String,
}

/// What a step leads to, beside its own trace.
struct Wake {
    /// Events that are published.
    events: usize,
    /// Deliveries that someone acts on.
    handled: usize,
}

/// The step leads to nothing.
const STILL: Wake = Wake { events: 0, handled: 0 };
/// Dogs that are new are in no cache.
const MADE: Wake = Wake { events: 1, handled: 0 };
/// The cache forgets the dog.
const CHANGED: Wake = Wake { events: 1, handled: 1 };
/// The picture gets a small copy, of which the cache hears.
const FETCHED: Wake = Wake { events: 3, handled: 2 };

/// How often a dog is renamed until the cache hears of it, and how long each time waits.
const CALLS: usize = 30;
const HEARING: Duration = Duration::from_secs(1);

/// The outcome of the one run of this pair.
pub async fn told(pair: Pair, told: &Told) -> Option<&Outcome> {
    told.get_or_init(|| run(pair)).await.as_ref()
}

async fn run(pair: Pair) -> Option<Outcome> {
    let kennel = pair.furnish().await?;
    let served = kennel.serve().await;
    let mut run = Run { kennel: &kennel, served: &served, seen: HashSet::new(), text: String::new() };
    run.listens().await;
    run.all().await;
    let (spans, metrics) = (run.text, metrics::of(pair, &served).await);
    served.stop().await;
    Some(Outcome { spans, metrics })
}

struct Run<'a> {
    kennel: &'a Kennel,
    served: &'a RunningService,
    seen: HashSet<Vec<u8>>,
    text: String,
}

impl Run<'_> {
    /// Renames a dog until the cache hears of it: ready to serve, the process may not listen to the broker yet, and what
    /// is published before then passes the cache by.
    async fn listens(&mut self) {
        let path = format!("/api/v1/dogs/{}", self.served.dog("marker").await);
        let made = self.step("the marker is made", &MADE).await;
        self.seen.insert(made.trace);
        for call in 0..CALLS {
            self.rename(&path, &format!("marker {call}")).await;
            let renamed = self.step("the marker is renamed", &MADE).await;
            let heard = timeout(HEARING, self.step("the cache hears of it", &CHANGED)).await;
            self.seen.insert(renamed.trace);
            if heard.is_ok() {
                return;
            }
        }
        panic!("the cache heard of none of {CALLS} changes");
    }

    async fn all(&mut self) {
        let served = self.served;
        let mut rpc = served.rpc();

        let made = served.dog("Rex").await;
        self.tell("POST /api/v1/dogs makes a dog", MADE).await;
        let fetched = served.fetch().await;
        self.tell("GET /api/v1/dogs/husky/image fetches a picture", FETCHED).await;
        let path = format!("/api/v1/dogs/{fetched}");
        served.get(&path).await.expect(200);
        self.tell("GET /api/v1/dogs/{id} asks the store", STILL).await;
        served.get(&path).await.expect(200);
        self.tell("GET /api/v1/dogs/{id} asks the cache", STILL).await;
        self.rename(&path, "Laika").await;
        self.tell("PATCH /api/v1/dogs/{id} changes it", CHANGED).await;
        rpc.get_dog(GetDogRequest { id: fetched.clone() }).await.unwrap();
        self.tell("GetDog asks the store again", STILL).await;
        served.get(&format!("{path}/photo?variant=thumbnail")).await.expect(200);
        self.tell("GET /api/v1/dogs/{id}/photo reads the small copy", STILL).await;
        let change = UpdateDogRequest { id: fetched, name: Some("Belka".to_owned()), ..Default::default() };
        rpc.update_dog(change).await.unwrap();
        self.tell("UpdateDog changes it", CHANGED).await;
        rpc.delete_dog(DeleteDogRequest { id: made, expected_revision: None }).await.unwrap();
        self.tell("DeleteDog removes the first one", CHANGED).await;
        let lines = "{\"breed\":\"boxer\"}\n{\"breed\":\"pug\"}\n";
        let import = served.request("POST", "/api/v1/dogs/import").header("content-type", "application/x-ndjson");
        assert_eq!(import.body(lines).send().await.unwrap().status(), 200);
        self.tell("POST /api/v1/dogs/import takes two dogs", MADE).await;
    }

    async fn rename(&self, path: &str, name: &str) {
        let renaming = self.served.request("PATCH", path).json(&json!({ "name": name }));
        assert_eq!(renaming.send().await.unwrap().status(), 200);
    }

    /// Waits until all spans of a step have arrived, so that the next one begins on its own, and writes them down.
    async fn tell(&mut self, title: &str, wake: Wake) {
        let step = self.step(title, &wake).await;
        write!(self.text, "# {title}\n{}\n", step.text).unwrap();
        self.seen.insert(step.trace);
    }

    /// The step that is not among those seen, once it is over.
    async fn step(&self, title: &str, wake: &Wake) -> Step {
        let step = |spans: &[Span]| Step::find(spans, &self.seen).filter(|step| step.is_over(wake));
        self.kennel.collector.until(title, step).await
    }
}

/// One step as far as its spans have arrived.
struct Step {
    trace: Vec<u8>,
    text: String,
    created: usize,
    published: usize,
    handled: usize,
}

impl Step {
    /// The step whose trace is not among the `seen` ones, once its request is answered.
    fn find(spans: &[Span], seen: &HashSet<Vec<u8>>) -> Option<Self> {
        let forest = Forest::of(spans);
        let is_request = |span: &Span| span.kind == 2 && span.parent_span_id.is_empty();
        let root = forest.roots().iter().find(|root| is_request(root) && !seen.contains(&root.trace_id))?;
        let linked = forest.linked_to(&root.trace_id);
        let relayed: Vec<_> = linked.iter().map(|root| root.trace_id.as_slice()).collect();
        let inside =
            |name: &str| spans.iter().filter(|span| span.trace_id == root.trace_id && span.name == name).count();
        // A parent arrives after its children: the batch is whole once its first span is there.
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

    fn is_over(&self, wake: &Wake) -> bool {
        self.created >= wake.events && self.published >= wake.events && self.handled >= wake.handled
    }
}

/// How many events a call was about.
fn size(span: &Span) -> usize {
    let size = span.attributes.iter().find(|pair| pair.key == "db.operation.batch.size");
    let size = size.and_then(kennel_testkit::otlp::integer);
    size.and_then(|size| usize::try_from(size).ok()).unwrap_or(0)
}
