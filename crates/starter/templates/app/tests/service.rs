//! The program with its default store and the in-process broker, as clients use it.

//% if transports
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

//% endif
use std::path::Path;
use std::time::Duration;

use kennel_testkit::process::{Launch, ServiceProcess};
//% if rest
use serde_json::{Value, json};
//% endif
//% if grpc
use tonic::Code;
use «ident»_proto::v1::note_service_client::NoteServiceClient;
use «ident»_proto::v1::{CreateNoteRequest, DeleteNoteRequest, GetNoteRequest, ListNotesRequest};
//% endif

const STOP_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn serves_until_it_is_stopped() {
//% if store == "clickhouse"
    let Some(database) = kennel_testkit::TestClickHouse::create() else { return };
//% elif store != "sqlite"
    let Some(database) = kennel_testkit::TestDatabase::«store»().await else { return };
//% endif
//% if store != "sqlite"
    let dsn = database.dsn();
//% endif
    let folder = tempfile::tempdir().unwrap();
    let env = [
        ("PROMETHEUS_PORT", "0"),
//% if rest
        ("SERVER_PORT", "0"),
//% endif
//% if grpc
        ("GRPC_PORT", "0"),
//% endif
//% if store != "sqlite"
        ("STORAGE", "«store»"),
        ("«store|upper»_DSN", &dsn),
//% endif
    ];
    let binary = Path::new(env!("CARGO_BIN_EXE_«app»"));
    let mut process = ServiceProcess::start(&Launch { binary, args: &["serve"], env: &env, directory: folder.path() });
    let sys = process.listener("sys").await;
    process.ready(sys, "/ready").await;
//% if rest
    rest(&format!("http://{}/api/v1/notes", process.listener("http").await)).await;
//% endif
//% if grpc
    grpc(format!("http://{}", process.listener("grpc").await)).await;
//% endif
    process.terminate();
    assert!(process.wait(STOP_LIMIT).await.success(), "{}", process.output());
}
//% if rest

async fn rest(url: &str) {
    // Another test of this process may already have installed it.
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = reqwest::Client::new();
    let refused = client.post(url).json(&json!({ "text": " " })).send().await.unwrap();
    assert_eq!(refused.status(), 422);
    let created = client.post(url).json(&json!({ "text": "one" })).send().await.unwrap();
    assert_eq!(created.status(), 201);
    let created: Value = created.json().await.unwrap();
    let page: Value = client.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(page["items"], json!([created]));

    let one = format!("{url}/{}", created["id"].as_str().unwrap());
    let found: Value = client.get(&one).send().await.unwrap().json().await.unwrap();
    assert_eq!(found, created);
    assert_eq!(client.delete(&one).send().await.unwrap().status(), 204);
    assert_eq!(client.get(&one).send().await.unwrap().status(), 404);
}
//% endif
//% if grpc

async fn grpc(url: String) {
    let mut client = NoteServiceClient::connect(url).await.unwrap();
    let refused = client.create_note(CreateNoteRequest { text: " ".to_owned() }).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let created = client.create_note(CreateNoteRequest { text: "one".to_owned() }).await.unwrap();
    let created = created.into_inner().note.unwrap();
    let page = client.list_notes(ListNotesRequest::default()).await.unwrap().into_inner();
    assert_eq!((page.notes, page.next_page_token.as_str()), (vec![created.clone()], ""));

    let id = created.id.clone();
    let found = client.get_note(GetNoteRequest { id: id.clone() }).await.unwrap().into_inner();
    assert_eq!(found.note, Some(created));
    client.delete_note(DeleteNoteRequest { id: id.clone() }).await.unwrap();
    assert_eq!(client.get_note(GetNoteRequest { id }).await.unwrap_err().code(), Code::NotFound);
}
//% endif
