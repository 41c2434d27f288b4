//! The story, and the stores and brokers that it runs with.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use kennel_proto::notes::v1::note_service_client::NoteServiceClient;
use kennel_proto::notes::v1::{DeleteNoteRequest, GetNoteRequest, ListNotesRequest};
use kennel_testkit::probe;
use kennel_testkit::process::{Launch, ServiceProcess};
use serde_json::{Value, json};
use tonic::Code;

pub(crate) type Variables = Vec<(&'static str, String)>;

const STOP_LIMIT: Duration = Duration::from_secs(20);

#[cfg(feature = "postgres")]
pub(crate) async fn postgres() -> Option<(Variables, kennel_testkit::TestDatabase)> {
    let database = kennel_testkit::TestDatabase::postgres().await?;
    Some((vec![("STORAGE", "postgres".to_owned()), ("POSTGRES_DSN", database.dsn())], database))
}

#[cfg(feature = "mysql")]
pub(crate) async fn mysql() -> Option<(Variables, kennel_testkit::TestDatabase)> {
    let database = kennel_testkit::TestDatabase::mysql().await?;
    Some((vec![("STORAGE", "mysql".to_owned()), ("MYSQL_DSN", database.dsn())], database))
}

#[cfg(feature = "clickhouse")]
pub(crate) fn clickhouse() -> Option<(Variables, kennel_testkit::TestClickHouse)> {
    let database = kennel_testkit::TestClickHouse::create()?;
    Some((vec![("STORAGE", "clickhouse".to_owned()), ("CLICKHOUSE_DSN", database.dsn())], database))
}

#[cfg(feature = "nats")]
pub(crate) async fn nats() -> Option<(Variables, kennel_testkit::broker_namespace::ProxiedBroker)> {
    let broker = kennel_testkit::broker_namespace::ProxiedBroker::nats().await?;
    Some((broker.direct().to_vec(), broker))
}

#[cfg(feature = "kafka")]
pub(crate) async fn kafka() -> Option<(Variables, kennel_testkit::broker_namespace::ProxiedBroker)> {
    let broker = kennel_testkit::broker_namespace::ProxiedBroker::kafka().await?;
    Some((broker.direct().to_vec(), broker))
}

#[cfg(feature = "rabbitmq")]
pub(crate) async fn rabbitmq() -> Option<(Variables, kennel_testkit::broker_namespace::ProxiedBroker)> {
    let broker = kennel_testkit::broker_namespace::ProxiedBroker::rabbit(&[notes::domain::TOPIC], &[], 8).await?;
    Some((broker.direct().to_vec(), broker))
}

/// Runs the program with these variables, and uses it as clients do.
pub(crate) async fn story(variables: &[(&'static str, String)]) {
    let folder = tempfile::tempdir().unwrap();
    let mut env = vec![("SERVER_PORT", "0"), ("GRPC_PORT", "0"), ("PROMETHEUS_PORT", "0")];
    env.extend(variables.iter().map(|(name, value)| (*name, value.as_str())));
    let binary = Path::new(env!("CARGO_BIN_EXE_notes"));
    let launch = Launch { binary, args: &["serve"], env: &env, directory: folder.path() };
    let mut process = ServiceProcess::start(&launch);
    let http = process.listener("http").await;
    let grpc = process.listener("grpc").await;
    let sys = process.listener("sys").await;
    process.ready(sys, "/ready").await;

    let client = Client { base: format!("http://{http}/api/v1/notes"), http: client() };
    let refused = client.send("POST", "", Some(json!({ "text": " " }))).await;
    assert_eq!((refused.0, &refused.1["errors"][0]["field"]), (422, &json!("text")));
    let (status, first) = client.send("POST", "", Some(json!({ "text": "one" }))).await;
    assert_eq!(status, 201, "{first}");
    let (_, second) = client.send("POST", "", Some(json!({ "text": "two" }))).await;

    let mut rpc = NoteServiceClient::connect(format!("http://{grpc}")).await.unwrap();
    let id = first["id"].as_str().unwrap().to_owned();
    let got = rpc.get_note(GetNoteRequest { id: id.clone() }).await.unwrap().into_inner().note.unwrap();
    assert_eq!((got.id.as_str(), got.text.as_str()), (id.as_str(), "one"));
    let (status, page) = client.send("GET", "?limit=1", None).await;
    assert_eq!((status, &page["items"]), (200, &json!([second])));
    let token = page["next"].as_str().unwrap().to_owned();
    let page = ListNotesRequest { page_size: 0, page_token: token };
    let page = rpc.list_notes(page).await.unwrap().into_inner();
    assert_eq!((page.notes, page.next_page_token.as_str()), (vec![got], ""));

    published(&mut process, sys, 2).await;
    rpc.delete_note(DeleteNoteRequest { id: id.clone() }).await.unwrap();
    assert_eq!(client.send("GET", &format!("/{id}"), None).await.0, 404);
    assert_eq!(client.send("DELETE", &format!("/{id}"), None).await.0, 404);
    assert_eq!(rpc.get_note(GetNoteRequest { id }).await.unwrap_err().code(), Code::NotFound);
    let invalid = rpc.get_note(GetNoteRequest { id: "x".to_owned() }).await.unwrap_err();
    assert_eq!(invalid.code(), Code::InvalidArgument);

    process.terminate();
    assert!(process.wait(STOP_LIMIT).await.success(), "{}", process.output());
}

/// Waits until the relay has published this number of events.
async fn published(process: &mut ServiceProcess, sys: SocketAddr, count: u32) {
    let line = format!("broker_published_total{{outcome=\"ok\",topic=\"notes.events\"}} {count}");
    process.shows(sys, "/metrics", &line).await;
    let metrics = probe::get(sys, "/metrics").await.unwrap();
    assert!(String::from_utf8_lossy(&metrics.body).contains("operation=\"notes.insert\",outcome=\"ok\""));
}

fn client() -> reqwest::Client {
    // Another test of this process may already have installed it.
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::new()
}

struct Client {
    base: String,
    http: reqwest::Client,
}

impl Client {
    /// The status and the body of the response.
    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.base));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }
}
