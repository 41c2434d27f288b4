//! The service in one process for tests: real routes, store, broker, objects and feed over a folder of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test uses a part of it")]

mod answer;
pub mod home;
mod source;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dogs::grpc::DogRpc;
use dogs::http::{ApiState, Links, Parts};
use dogs::pictures::Pictures;
use dogs_domain::service::Ports;
use dogs_domain::{DogService, events};
use dogs_storages::{StorageConfig, Stores};
use kennel_app::{App, Health, Options, RunError, Stop};
use kennel_broker::{Broker, BrokerConfig};
use kennel_core::{Clock, IdSource, ObjectStore, SystemClock, UuidV7};
use kennel_grpc::{GrpcConfig, GrpcMetrics, GrpcServer};
use kennel_http::{HttpConfig, HttpMetrics, HttpServer};
use kennel_objects::ObjectsConfig;
use kennel_outbox::{ConsumerMetrics, EventFeed, FeedConfig, Relay, RelayConfig, RelayMetrics};
use kennel_proto::dogs::v1::FILE_DESCRIPTOR_SET;
use kennel_proto::dogs::v1::dog_service_client::DogServiceClient;
use kennel_storage::sqlite::SqliteConfig;
use prometheus::Registry;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tonic::transport::Channel;

pub use self::answer::Answer;
pub use self::source::{Mood, TestSource};
pub use self::stream::{Message, Messages, next_event};

/// Where answers say the service is; [`TestApp::get`] finds it there.
pub const PUBLIC_URL: &str = "http://kennel.test";
/// Longer than anything takes that works. The longest: a member of a group that lost its partitions in an outage waits
/// 10 s for the leases to end and 15 s more for what it had in hand.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// What can differ from test to test.
pub struct Setup {
    /// The most bytes of a picture.
    pub picture_limit: u64,
    /// Limits of the server.
    pub http: HttpConfig,
    /// How events are shown.
    pub feed: FeedConfig,
}

impl Default for Setup {
    fn default() -> Self {
        let addr = ([127, 0, 0, 1], 0).into();
        let http = HttpConfig { addr, linger_ms: 0, ..HttpConfig::default() };
        Self { picture_limit: 1024 * 1024, http, feed: FeedConfig::default() }
    }
}

/// A running service. It goes away with the value.
pub struct TestApp {
    /// Where it really is, such as `http://127.0.0.1:45678`.
    pub base: String,
    /// The same dogs, past the protocol.
    pub service: DogService,
    /// The store.
    pub stores: Stores,
    /// Where its pictures come from.
    pub source: Arc<TestSource>,
    /// What it says of itself.
    pub health: Health,
    /// Where gRPC really is.
    pub grpc: SocketAddr,
    client: reqwest::Client,
    stop: Stop,
    running: JoinSet<Result<(), RunError>>,
    _home: TempDir,
}

impl TestApp {
    /// A service as it is by default.
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    /// A service as `setup` says.
    pub async fn with(setup: Setup) -> Self {
        let home = tempfile::tempdir().unwrap();
        let registry = Registry::new();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let stores = open_stores(&home, clock.as_ref()).await;
        let broker = open_broker(&stores, &clock).await;
        let objects = open_objects(&home, clock.as_ref()).await;
        let source = Arc::new(TestSource::default());
        let service = service(&stores, &source, objects, &clock, setup.picture_limit);
        let feed = feed(&stores, &broker, setup.feed, &registry);
        let health = Health::new();
        health.register("storage", Arc::clone(&stores.check));
        let server = server(&service, &feed, &health, &setup, &registry);
        let mut address = server.address();
        let rpc = rpc(&service, &feed, &health, &registry);
        let mut grpc = rpc.bound();
        let app = App::new(Options::default())
            .health(health.clone())
            .component(feed)
            .component(relay(&stores, &broker, &clock, &registry))
            .component(server)
            .component(rpc);
        let stop = Stop::new();
        let mut running = JoinSet::new();
        let asked = stop.clone();
        running.spawn(app.run(async move { asked.requested().await }));
        let address = address.bound().await.expect("the server is listening");
        health.ready().wait_for(|ready| *ready).await.unwrap();
        let base = format!("http://{address}");
        let grpc = grpc.wait_for(Option::is_some).await.unwrap().unwrap();
        Self { base, service, stores, source, health, grpc, client: client(), stop, running, _home: home }
    }

    /// Stops it as a signal would; fails when it does not stop well.
    pub async fn stop(mut self) {
        self.stop.request();
        self.running.join_next().await.unwrap().unwrap().unwrap();
        self.stores.close().await;
    }

    /// A request for `target`, a path or a URL that an answer held.
    pub fn request(&self, method: &str, target: &str) -> reqwest::RequestBuilder {
        let path = target.strip_prefix(PUBLIC_URL).unwrap_or(target);
        let method = method.parse().unwrap();
        self.client.request(method, format!("{}{path}", self.base)).timeout(PATIENCE)
    }

    /// The answer to a plain GET.
    pub async fn get(&self, target: &str) -> Answer {
        Answer::to(self.request("GET", target)).await
    }

    /// The answer to a request with a JSON body.
    pub async fn send(&self, method: &str, target: &str, body: serde_json::Value) -> Answer {
        Answer::to(self.request(method, target).json(&body)).await
    }

    /// Makes a dog; its document.
    pub async fn dog(&self, breed: &str) -> serde_json::Value {
        self.send("POST", "/api/v1/dogs", serde_json::json!({ "breed": breed })).await.expect(201).json()
    }

    /// Follows the events; the stream is open when this returns.
    pub async fn events(&self, last: Option<&str>) -> Messages {
        let mut request = self.request("GET", "/api/v1/events");
        if let Some(id) = last {
            request = request.header("last-event-id", id);
        }
        Messages::open(request).await
    }

    /// A gRPC client.
    pub fn rpc(&self) -> DogServiceClient<Channel> {
        let channel = Channel::from_shared(format!("http://{}", self.grpc)).unwrap();
        DogServiceClient::new(channel.timeout(PATIENCE).connect_lazy())
    }
}

fn client() -> reqwest::Client {
    // Another test of the process may have come first.
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

async fn open_stores(home: &TempDir, clock: &dyn Clock) -> Stores {
    let sqlite = SqliteConfig::at(home.path().join("dogs.db"));
    let stores = dogs_storages::connect(&StorageConfig { sqlite, ..StorageConfig::default() }).await.unwrap();
    stores.migrator.up(clock.now()).await.unwrap();
    stores
}

async fn open_broker(stores: &Stores, clock: &Arc<dyn Clock>) -> Arc<dyn Broker> {
    let sink = Arc::clone(&stores.dead_letter_sink);
    kennel_broker::connect(&BrokerConfig::default(), sink, Arc::clone(clock)).await.unwrap().broker
}

async fn open_objects(home: &TempDir, clock: &dyn Clock) -> Arc<dyn ObjectStore> {
    let config = ObjectsConfig { path: home.path().join("objects"), ..ObjectsConfig::default() };
    kennel_objects::connect(&config, clock).await.unwrap()
}

fn service(
    stores: &Stores,
    source: &Arc<TestSource>,
    objects: Arc<dyn ObjectStore>,
    clock: &Arc<dyn Clock>,
    picture_limit: u64,
) -> DogService {
    let ports = Ports {
        repo: Arc::clone(&stores.dogs),
        source: Arc::<TestSource>::clone(source),
        objects,
        pictures: Arc::new(Pictures::new(64 << 20)),
        clock: Arc::clone(clock),
        ids: Arc::new(UuidV7),
        trace: || None,
    };
    DogService::new(ports, picture_limit)
}

fn feed(stores: &Stores, broker: &Arc<dyn Broker>, config: FeedConfig, registry: &Registry) -> EventFeed {
    let metrics = ConsumerMetrics::register(registry).unwrap();
    let subscriber = Arc::<dyn Broker>::clone(broker);
    EventFeed::new(events::TOPIC, subscriber, Arc::clone(&stores.outbox), config, metrics)
}

fn relay(stores: &Stores, broker: &Arc<dyn Broker>, clock: &Arc<dyn Clock>, registry: &Registry) -> Relay {
    let metrics = RelayMetrics::register(registry).unwrap();
    let publisher = Arc::<dyn Broker>::clone(broker);
    let outbox = Arc::clone(&stores.outbox);
    Relay::new(outbox, publisher, Arc::clone(clock), UuidV7.next(), RelayConfig::default(), metrics)
}

fn server(service: &DogService, feed: &EventFeed, health: &Health, setup: &Setup, registry: &Registry) -> HttpServer {
    let state = ApiState {
        service: service.clone(),
        feed: feed.clone(),
        ids: Arc::new(UuidV7),
        public_url: PUBLIC_URL.to_owned(),
        metrics_url: Some("http://kennel.test:9090/metrics".to_owned()),
        grafana_url: None,
        parts: Parts { storage: "sqlite", broker: "memory", cache: "none", objects: "fs" },
        health: health.clone(),
    };
    let metrics = HttpMetrics::register(registry).unwrap();
    HttpServer::new("http", &setup.http, dogs::http::app(state, &setup.http, &metrics).unwrap())
}

fn rpc(service: &DogService, feed: &EventFeed, health: &Health, registry: &Registry) -> GrpcServer {
    let config = GrpcConfig { addr: ([127, 0, 0, 1], 0).into(), domain: "dogs", ..GrpcConfig::default() };
    let (links, ids) = (Links::new(PUBLIC_URL), Arc::new(UuidV7));
    let dogs = DogRpc::server(service.clone(), feed.clone(), links, ids, config.max_message_bytes);
    let metrics = GrpcMetrics::register(registry).unwrap();
    GrpcServer::new(config, health.clone(), Arc::new(UuidV7), metrics)
        .add_service(dogs)
        .descriptors(FILE_DESCRIPTOR_SET)
}
