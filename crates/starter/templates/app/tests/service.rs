//! The program with its default store and the in-process broker, as clients use it.

//% if transports or tests_queue
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

//% endif
use std::path::Path;
//% if tests_queue
use std::sync::Arc;
//% endif
use std::time::Duration;

//% if tests_queue
use kennel_core::{SystemClock, TaskQueue as Tasks, UuidV7};
use kennel_storage::StorageConfig;
//% endif
//% if bots
use kennel_telegram::mock::FakeBotApi;
//% endif
use kennel_testkit::process::{Launch, ServiceProcess};
//% if rest
use serde_json::{Value, json};
//% elif api
use serde_json::Value;
//% endif
//% if rpc
use tonic::Code;
//% endif
//% for service in services
use «ident»_proto::«service.client»::«service.name»Client;
//% endfor
//% for queue in runs if tests_queue
use «ident»_domain::«queue.module»::«queue.Name»Queue;
//% endfor
//% if grpc
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
//% for bot in bots
    let «bot.module» = FakeBotApi::start("1:«bot.module»").await.unwrap();
    let «bot.module»_url = «bot.module».url();
//% endfor
    let env = [
        ("PROMETHEUS_PORT", "0"),
//% if http
        ("SERVER_PORT", "0"),
//% endif
//% for client in clients
        ("«client.module|upper»_API_URL", "http://localhost:1"),
        ("«client.module|upper»_API_CREDENTIAL", "test"),
//% endfor
//% for bot in bots
        ("«bot.module|upper»_TELEGRAM_TOKEN", "1:«bot.module»"),
        ("«bot.module|upper»_TELEGRAM_URL", &*«bot.module»_url),
        ("«bot.module|upper»_TELEGRAM_PRIVATE", "true"),
//% endfor
//% for driver in drivers if driver.kind == "telegram"
        ("«driver.module|upper»_TELEGRAM_TOKEN", "1:test"),
//% endfor
//% for channel in channels
        ("«channel.module|upper»_GRPC_URL", "http://localhost:1"),
//% endfor
//% if rpc
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
//% elif api
    api(&format!("http://{}", process.listener("http").await)).await;
//% endif
//% if grpc
    grpc(format!("http://{}", process.listener("grpc").await)).await;
//% endif
//% if proto
    services(&format!("http://{}", process.listener("grpc").await)).await;
//% endif
//% for bot in bots
//% if loop.first
    let texts = chat(&«bot.module»).await;
    // Later chats list what was stored in this one.
    assert_eq!((&*texts[1], &*texts[3]), ("There are none.", "- one"), "{texts:?}");
//% else
    chat(&«bot.module»).await;
//% endif
//% endfor
//% if tests_queue
    tasks(&mut process, folder.path()).await;
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
//% if api

/// The document and its operations are served.
async fn api(url: &str) {
    // Another test of this process may already have installed it.
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = reqwest::Client::new();
    let document: Value = client.get(format!("{url}/openapi.json")).send().await.unwrap().json().await.unwrap();
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, [«% for path in api_paths %»"«path»"«% if not loop.last %», «% endif %»«% endfor %»]);
    for (method, path) in [«% for route in api_routes %»("«route.method»", "«route.path»"), «% endfor %»] {
        let method = method.parse().unwrap();
        let response = client.request(method, format!("{url}{path}")).send().await.unwrap();
        assert_ne!(response.status(), 405, "{path}");
    }
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
//% if proto

/// Every service is there; change this together with the implementation of its methods.
async fn services(url: &str) {
//% for service in services
    «% if service.has_unary %»let mut client = «% endif %»«service.name»Client::connect(url.to_owned()).await.unwrap();
//% for method in service.methods
//% if method.is_unary
    let refused = client.«method.fn»(«ident»_«method.default»).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented, "{refused}");
//% endif
//% endfor
//% endfor
}
//% endif
//% if bots

/// Somebody writes to the bot, and gets these answers.
async fn chat(api: &FakeBotApi) -> Vec<String> {
    for text in ["/start", "/list", "one", "/list", "/unknown"] {
        api.write(7, text);
    }
    let sent = api.sent_messages(5, Duration::from_secs(20)).await;
    let texts: Vec<_> = sent.into_iter().map(|message| message.text).collect();
    assert_eq!(texts.len(), 5, "{texts:?}");
    texts
}
//% endif
//% if tests_queue

/// Adds tasks as another program with this database does, and waits until they were run.
async fn tasks(process: &mut ServiceProcess, folder: &Path) {
    let config = StorageConfig::sqlite(folder.join("data/«app».db"));
    let (migrations, registry) = («ident»_storages::MIGRATIONS, prometheus::Registry::new());
    let database = kennel_storage::open(&config, "«app»", &migrations, &registry).await.unwrap();
    let outbox = Arc::clone(&database.outbox);
    let queue = Tasks::new(outbox, Arc::new(SystemClock), Arc::new(UuidV7), "/test", || None);
//% for queue in runs
    let task = «ident»_domain::«queue.module»::«queue.first.ty» { «% for field in queue.first.fields %»«field.ident»: «field.example», «% endfor %»};
    «queue.Name»Queue(queue.clone()).«queue.first.fn»(&task).await.unwrap();
    process.prints("«project».«queue.name».«queue.first.name»").await;
//% endfor
    database.close().await;
}
//% endif
