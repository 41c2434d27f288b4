//! A directory with the program in it, and the catalogue: what publishes to it and hears it.
#![allow(dead_code, clippy::allow_attributes, reason = "which is used depends on the features")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gif_files::repository::MIGRATIONS;
use gifs_contracts::{GifDiscovered, GifId, MEDIA_EVENTS};
use kennel_broker::{Broker, BrokerConfig};
use kennel_config::{Environment, Reader, Settings, load};
use kennel_core::outbox::History;
use kennel_core::{Event, EventFilter, Group, IdSource as _, Subscription, SystemClock, Timestamp, UuidV7};
use kennel_storage::{Database, Engine, StorageConfig};
use kennel_testkit::process::{Launch, ServiceProcess};
use prometheus::Registry;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::backends::Variables;

const LIMIT: Duration = Duration::from_mins(1);

/// The files and settings of a program, which is started in it several times.
pub(crate) struct Home {
    folder: TempDir,
    variables: Variables,
}

/// A program that runs.
pub(crate) struct Running {
    pub(crate) process: ServiceProcess,
    pub(crate) grpc: SocketAddr,
    pub(crate) sys: SocketAddr,
}

impl Home {
    pub(crate) fn new(variables: &Variables) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: variables.clone() }
    }

    fn start(&self, args: &[&str]) -> ServiceProcess {
        let mut env = vec![("GRPC_PORT", "0"), ("PROMETHEUS_PORT", "0"), ("GIF_DOWNLOAD_ALLOW_PRIVATE", "true")];
        // A killed process is replaced soon, and its attempts do not use up those of its events.
        env.extend([("OUTBOX_LEASE", "1s"), ("OUTBOX_POLL", "100ms"), ("CONSUMER_MAX_ATTEMPTS", "100")]);
        env.extend(self.variables.iter().map(|(name, value)| (*name, value.as_str())));
        let binary = Path::new(env!("CARGO_BIN_EXE_gif-files"));
        ServiceProcess::start(&Launch { binary, args, env: &env, directory: self.folder.path() })
    }

    pub(crate) async fn serve(&self) -> Running {
        let mut process = self.start(&["serve"]);
        let (grpc, sys) = (process.listener("grpc").await, process.listener("sys").await);
        process.ready(sys, "/ready").await;
        Running { process, grpc, sys }
    }

    /// Runs a command; returns its exit code and its output.
    pub(crate) async fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        let mut process = self.start(args);
        let code = process.wait(LIMIT).await.code();
        (code, process.output())
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The broker, as the catalogue sees it.
    pub(crate) async fn catalogue(&self) -> Catalogue {
        let is_broker =
            |name: &str| ["BROKER", "NATS_", "KAFKA_", "RABBIT"].iter().any(|prefix| name.starts_with(prefix));
        let broker: Vec<_> = self.variables.iter().filter(|(name, _)| is_broker(name)).collect();
        if broker.is_empty() {
            return Catalogue::InProcess(Box::new(InProcess::open(self.path()).await));
        }
        let environment = Environment::from_pairs(broker.into_iter().map(|(name, value)| (*name, value.as_str())));
        let config = load::<CatalogueSettings>(&environment).unwrap().settings.0;
        let connected = kennel_broker::connect_server(&config, Arc::new(SystemClock)).await.unwrap().unwrap();
        let group = Group::Shared("test".to_owned());
        let answers = connected.broker.subscribe(MEDIA_EVENTS, &group, &EventFilter::All).await.unwrap();
        Catalogue::Server { broker: connected.broker, answers }
    }
}

struct CatalogueSettings(BrokerConfig);

impl Settings for CatalogueSettings {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self(BrokerConfig::read(reader, &[]))
    }
}

/// Publishes what was discovered, and receives what Media answers.
pub(crate) enum Catalogue {
    /// Over the broker.
    Server { broker: Arc<dyn Broker>, answers: Box<dyn Subscription> },
    /// Through the outbox of the program, whose relay publishes every event in it to the broker in its process.
    InProcess(Box<InProcess>),
}

impl Catalogue {
    /// Publishes the discovery of a new GIF for each URL; returns the GIFs.
    pub(crate) async fn discover(&self, urls: &[String]) -> Vec<GifId> {
        let gifs: Vec<_> = urls.iter().map(|url| discovered(url)).collect();
        let events: Vec<_> = gifs.iter().map(event).collect();
        match self {
            Self::Server { broker, .. } => broker.publish(&events).await.unwrap(),
            Self::InProcess(outbox) => outbox.append(&events).await,
        }
        gifs.into_iter().map(|gif| gif.id).collect()
    }

    /// The next answer; `None` if there is none for this time.
    pub(crate) async fn answer(&mut self, limit: Duration) -> Option<Event> {
        match self {
            Self::InProcess(outbox) => timeout(limit, outbox.next()).await.ok(),
            Self::Server { answers, .. } => {
                let delivery = timeout(limit, answers.next()).await.ok()?.unwrap().unwrap();
                let event = Event::clone(&delivery.event);
                delivery.ack().await.unwrap();
                Some(event)
            }
        }
    }
}

/// The database of the program, opened by the test as well.
pub(crate) struct InProcess {
    database: Database,
    last: Option<Uuid>,
    received: VecDeque<Event>,
}

impl InProcess {
    async fn open(folder: &Path) -> Self {
        let config = StorageConfig::sqlite(folder.join("data/gif-files.db"));
        let database = kennel_storage::open(&config, "gif-files", &MIGRATIONS, &Registry::new()).await.unwrap();
        database.migrator.up(Timestamp::from_millis(0).unwrap()).await.unwrap();
        Self { database, last: None, received: VecDeque::new() }
    }

    async fn append(&self, events: &[Event]) {
        let Engine::Sqlite(sqlite) = &self.database.engine else { panic!("only SQLite has the broker in its process") };
        let mut write = sqlite.write().await.unwrap();
        write.append(events).await.unwrap();
        write.commit().await.unwrap();
    }

    async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.received.pop_front() {
                return event;
            }
            let History::Events(events) = self.database.outbox.history(self.last, 10_000).await.unwrap() else {
                panic!("the last event is unknown")
            };
            self.last = events.last().map(|event| event.id).or(self.last);
            self.received.extend(events.into_iter().filter(|event| event.topic == MEDIA_EVENTS));
            if self.received.is_empty() {
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn discovered(url: &str) -> GifDiscovered {
    let id = GifId(UuidV7.next());
    GifDiscovered {
        id,
        provider: "local".to_owned(),
        provider_id: id.to_string(),
        url: url.to_owned(),
        width: None,
        height: None,
        size: None,
        discovered_at: Timestamp::from_millis(1_700_000_000_000).unwrap(),
    }
}

fn event(gif: &GifDiscovered) -> Event {
    Event::new(UuidV7.next(), "/gifs/catalogue", gif.discovered_at, gif).unwrap()
}
