//! The service inside the test process: real routes, store, broker, objects and feed in a temporary directory.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]
#![allow(dead_code, unreachable_pub, unused_imports, reason = "no test uses all of it")]

mod response;
pub mod service_dir;
mod source;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dogs::Dogs;
use dogs::grpc::DogRpc;
use dogs::http::{ApiContext, ApiState, BackendNames, DogUrls};
use dogs::picture_check::DecodedPictureCheck;
use dogs_domain::service::Ports;
use dogs_domain::{DogService, events};
use dogs_storages::Stores;
use kennel_app::{App, Health, RunError, ShutdownConfig, Stop};
use kennel_broker::{Broker, BrokerConfig, SharedBroker};
use kennel_core::{Clock, IdSource, ObjectStore, SystemClock, UuidV7};
use kennel_grpc::{GrpcConfig, GrpcMetrics, GrpcServer};
use kennel_http::{HttpConfig, HttpMetrics, HttpServer};
use kennel_images::ImageProcessor;
use kennel_objects::ObjectsConfig;
use kennel_outbox::{ConsumerMetrics, EventFeed, FeedConfig, Relay, RelayConfig, RelayMetrics};
use kennel_proto::dogs::v1::FILE_DESCRIPTOR_SET;
use kennel_proto::dogs::v1::dog_service_client::DogServiceClient;
use kennel_storage::{DatabaseCheck, StorageConfig};
use prometheus::Registry;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tonic::transport::Channel;

pub use self::response::TestResponse;
// The name that the tests of faults import it by.
pub use self::source::{FaultMode, TestSource};
pub use self::stream::{Message, Messages, next_event};

/// The base URL in responses; [`TestApp::request`] replaces it with the real one.
pub const PUBLIC_URL: &str = "http://kennel.test";
/// Longer than any successful step of a test. The longest: a member of a group that lost its partitions in an outage waits
/// 10 s for the leases to expire and 15 s more for its unacknowledged events.
pub const TEST_TIMEOUT: Duration = Duration::from_mins(1);

/// The configuration of a test.
pub struct Setup {
    /// The maximum size of an image, in bytes.
    pub image_limit: u64,
    /// The configuration of the HTTP server.
    pub http: HttpConfig,
    /// The configuration of the event feed.
    pub feed: FeedConfig,
}

impl Default for Setup {
    fn default() -> Self {
        let http = HttpConfig { server_port: 0, linger: Duration::ZERO, ..HttpConfig::default() };
        Self { image_limit: 1024 * 1024, http, feed: FeedConfig::default() }
    }
}

/// A running service. It is aborted when the value is dropped.
pub struct TestApp {
    /// The real base URL, such as `http://127.0.0.1:45678`.
    pub base: String,
    /// The domain service, without a protocol.
    pub service: DogService,
    /// The store.
    pub stores: Stores,
    /// The source of its images.
    pub source: Arc<TestSource>,
    /// Its health.
    pub health: Health,
    /// The real address of gRPC.
    pub grpc: SocketAddr,
    client: reqwest::Client,
    stop: Stop,
    running: JoinSet<Result<(), RunError>>,
    _directory: TempDir,
}

impl TestApp {
    /// Starts a service with the default configuration.
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    /// Starts a service with this configuration.
    pub async fn with(setup: Setup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::new();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let stores = open_stores(&directory, clock.as_ref()).await;
        let broker = open_broker(&stores, &clock).await;
        let objects = open_objects(&directory, clock.as_ref()).await;
        let source = Arc::new(TestSource::default());
        let service = service(&stores, &source, objects, &clock, setup.image_limit);
        let feed = feed(&stores, &broker, setup.feed, &registry);
        let health = Health::new();
        health.register("storage", Arc::new(DatabaseCheck(Arc::clone(&stores.database.driver))));
        let server = server(&service, &feed, &health, &setup, &registry);
        let mut address = server.address();
        let rpc = rpc(&service, &feed, &health, &registry);
        let mut grpc = rpc.address();
        let app = App::new(ShutdownConfig::default())
            .health(health.clone())
            .component(feed)
            .component(relay(&stores, &broker, &clock, &registry))
            .component(server)
            .component(rpc);
        let stop = Stop::new();
        let mut running = JoinSet::new();
        let shutdown = stop.clone();
        running.spawn(app.run(async move { shutdown.requested().await }));
        let address = address.bound().await.expect("the server is listening");
        health.ready().wait_for(|ready| *ready).await.unwrap();
        let base = format!("http://{address}");
        let grpc = grpc.bound().await.unwrap();
        Self { base, service, stores, source, health, grpc, client: client(), stop, running, _directory: directory }
    }

    /// Stops it as a signal does. Panics if it does not stop cleanly.
    pub async fn stop(mut self) {
        self.stop.request();
        self.running.join_next().await.unwrap().unwrap().unwrap();
        self.stores.database.close().await;
    }

    /// A request for `target`, a path or a URL from a response.
    pub fn request(&self, method: &str, target: &str) -> reqwest::RequestBuilder {
        let path = target.strip_prefix(PUBLIC_URL).unwrap_or(target);
        let method = method.parse().unwrap();
        self.client.request(method, format!("{}{path}", self.base)).timeout(TEST_TIMEOUT)
    }

    /// The response to a GET.
    pub async fn get(&self, target: &str) -> TestResponse {
        TestResponse::of(self.request("GET", target)).await
    }

    /// The response to a request with a JSON body.
    pub async fn send(&self, method: &str, target: &str, body: serde_json::Value) -> TestResponse {
        TestResponse::of(self.request(method, target).json(&body)).await
    }

    /// Creates a dog; returns it as JSON.
    pub async fn dog(&self, breed: &str) -> serde_json::Value {
        self.send("POST", "/api/v1/dogs", serde_json::json!({ "breed": breed })).await.expect(201).json()
    }

    /// Opens the event stream.
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
        DogServiceClient::new(channel.timeout(TEST_TIMEOUT).connect_lazy())
    }
}

fn client() -> reqwest::Client {
    // Another test of this process may already have installed it.
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

async fn open_stores(directory: &TempDir, clock: &dyn Clock) -> Stores {
    let config = StorageConfig::sqlite(directory.path().join("dogs.db"));
    let stores = dogs_storages::open(&config, &Registry::new()).await.unwrap();
    stores.database.migrator.up(clock.now()).await.unwrap();
    stores
}

async fn open_broker(stores: &Stores, clock: &Arc<dyn Clock>) -> Arc<dyn Broker> {
    let sink = Arc::clone(&stores.database.dead_letter_sink);
    let (config, shared) = (BrokerConfig::default(), SharedBroker::default());
    kennel_broker::connect(&config, &shared, sink, Arc::clone(clock)).await.unwrap().broker
}

async fn open_objects(directory: &TempDir, clock: &dyn Clock) -> Arc<dyn ObjectStore> {
    let config = ObjectsConfig { objects_path: directory.path().join("objects"), ..ObjectsConfig::default() };
    kennel_objects::connect(&config, clock).await.unwrap()
}

fn service(
    stores: &Stores,
    source: &Arc<TestSource>,
    objects: Arc<dyn ObjectStore>,
    clock: &Arc<dyn Clock>,
    image_limit: u64,
) -> DogService {
    let ports = Ports {
        repo: Arc::clone(&stores.dogs),
        imports: Arc::clone(&stores.imports),
        source: Arc::<TestSource>::clone(source),
        objects,
        pictures: Arc::new(DecodedPictureCheck(ImageProcessor::new(64 << 20))),
        clock: Arc::clone(clock),
        ids: Arc::new(UuidV7),
        trace: || None,
    };
    DogService::new(ports, image_limit)
}

fn feed(stores: &Stores, broker: &Arc<dyn Broker>, config: FeedConfig, registry: &Registry) -> EventFeed {
    let metrics = ConsumerMetrics::register(registry).unwrap();
    let subscriber = Arc::<dyn Broker>::clone(broker);
    EventFeed::new(events::TOPIC, subscriber, Arc::clone(&stores.database.outbox), config, metrics)
}

fn relay(stores: &Stores, broker: &Arc<dyn Broker>, clock: &Arc<dyn Clock>, registry: &Registry) -> Relay {
    let metrics = RelayMetrics::register(registry).unwrap();
    let publisher = Arc::<dyn Broker>::clone(broker);
    let outbox = Arc::clone(&stores.database.outbox);
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
        backends: BackendNames { storage: "sqlite", broker: "memory", cache: "none", objects: "fs" },
        health: health.clone(),
    };
    let metrics = HttpMetrics::register(registry).unwrap();
    let state = Arc::new(ApiContext::new(state));
    let routes = kennel_service::http_app::<Dogs>(state, health.clone(), &setup.http, &metrics, None).unwrap();
    HttpServer::new("http", &setup.http, routes)
}

fn rpc(service: &DogService, feed: &EventFeed, health: &Health, registry: &Registry) -> GrpcServer {
    let config = GrpcConfig { grpc_port: 0, domain: dogs::NAME, ..GrpcConfig::default() };
    let (urls, ids) = (DogUrls::new(PUBLIC_URL), Arc::new(UuidV7));
    let dogs = DogRpc::server(service.clone(), feed.clone(), urls, ids, config.max_message_bytes);
    let metrics = GrpcMetrics::register(registry).unwrap();
    GrpcServer::new("grpc", config, health.clone(), Arc::new(UuidV7), metrics)
        .add_service(dogs)
        .descriptors(FILE_DESCRIPTOR_SET)
}
