//! Two services in one process.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use kennel_proto::notes::v1::ListNotesRequest;
use kennel_proto::notes::v1::note_service_client::NoteServiceClient;
use kennel_testkit::access::{Addresses, Callers, Operations};
use kennel_testkit::probe;
use kennel_testkit::process::{Launch, ServiceProcess};
use tempfile::TempDir;

const PORTS: [(&str, &str); 3] = [("SERVER_PORT", "0"), ("GRPC_PORT", "0"), ("PROMETHEUS_PORT", "0")];
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// What `dogs:read`, `dogs:write` and so on are for, written by hand: the services themselves derive it from the operations.
const SCOPES: [(&str, &[&str]); 4] = [
    (
        "dogs:read",
        &[
            "GET /api/v1/breeds",
            "GET /api/v1/dogs",
            "GET /api/v1/dogs/{id}",
            "GET /api/v1/dogs/{id}/photo",
            "GET /api/v1/events",
            "GET /api/v1/status",
            "dogs.v1.DogService/GetDog",
            "dogs.v1.DogService/ListBreeds",
            "dogs.v1.DogService/ListDogs",
            "dogs.v1.DogService/WatchDogs",
        ],
    ),
    (
        "dogs:write",
        &[
            "DELETE /api/v1/dogs/{id}",
            "GET /api/v1/dogs/{breed}/image",
            "GET /api/v1/dogs/{breed}/{sub_breed}/image",
            "PATCH /api/v1/dogs/{id}",
            "POST /api/v1/dogs",
            "POST /api/v1/dogs/import",
            "PUT /api/v1/dogs/{id}/photo",
            "dogs.v1.DogService/CreateDog",
            "dogs.v1.DogService/DeleteDog",
            "dogs.v1.DogService/GetRandomDogImage",
            "dogs.v1.DogService/ImportDogs",
            "dogs.v1.DogService/UpdateDog",
        ],
    ),
    (
        "notes:read",
        &[
            "GET /api/v1/notes",
            "GET /api/v1/notes/{id}",
            "notes.v1.NoteService/GetNote",
            "notes.v1.NoteService/ListNotes",
        ],
    ),
    (
        "notes:write",
        &[
            "DELETE /api/v1/notes/{id}",
            "POST /api/v1/notes",
            "notes.v1.NoteService/CreateNote",
            "notes.v1.NoteService/DeleteNote",
        ],
    ),
];

/// The operations of a service, with the scope that each needs.
fn operations(service: &str) -> Operations {
    let own = SCOPES.iter().filter(|(scope, _)| scope.split(':').next() == Some(service));
    own.flat_map(|(scope, operations)| operations.iter().map(|name| ((*name).to_owned(), Some((*scope).to_owned()))))
        .collect()
}

fn start(folder: &TempDir, args: &[&str], env: &[(&str, &str)]) -> ServiceProcess {
    let binary = Path::new(env!("CARGO_BIN_EXE_all-in-one"));
    ServiceProcess::start(&Launch { binary, args, env, directory: folder.path() })
}

#[tokio::test]
async fn both_services_share_one_port_for_metrics_and_one_stop() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = start(&folder, &["serve"], &PORTS);
    let sys = process.listener("sys").await;
    for (component, path) in [("dogs.http", "/api/v1/dogs"), ("notes.http", "/api/v1/notes")] {
        let address = process.listener(component).await;
        process.ready(address, path).await;
    }
    process.listener("dogs.grpc").await;
    let grpc = process.listener("notes.grpc").await;
    let mut rpc = NoteServiceClient::connect(format!("http://{grpc}")).await.unwrap();
    rpc.list_notes(ListNotesRequest::default()).await.unwrap();
    process.ready(sys, "/ready").await;
    for service in ["dogs", "notes"] {
        process.shows(sys, "/ready", &format!("\"name\":\"{service}.storage\"")).await;
        process.shows(sys, "/metrics", &format!("route=\"/api/v1/{service}\",status=\"200\",app=\"{service}\"")).await;
        process.shows(sys, "/metrics", &format!("outbox_pending{{app=\"{service}\"}} 0")).await;
        assert!(folder.path().join(format!("data/{service}.db")).exists());
    }
    let metrics = String::from_utf8(probe::get(sys, "/metrics").await.unwrap().body).unwrap();
    assert_eq!(metrics.matches("# TYPE http_requests_total counter").count(), 1, "one family for all services");
    assert!(metrics.contains("method=\"ListNotes\""), "{metrics}");
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let labels = line.split_once('{').map_or("", |(_, labels)| labels);
        let names: Vec<_> = labels.split("\",").filter_map(|label| Some(label.split_once("=\"")?.0)).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "a label appears twice: {line}");
    }
    process.terminate();
    assert!(process.wait(STOP_LIMIT).await.success(), "{}", process.output());
}

#[tokio::test]
async fn components_are_selected_by_their_scoped_names() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = start(&folder, &["serve", "--only", "notes.http,sys"], &PORTS);
    let sys = process.listener("sys").await;
    let notes = process.listener("notes.http").await;
    process.ready(sys, "/ready").await;
    process.ready(notes, "/api/v1/notes").await;
    assert!(!process.output().contains("\"dogs.http\""), "{}", process.output());
    process.terminate();
    assert!(process.wait(STOP_LIMIT).await.success(), "{}", process.output());
    let mut unknown = start(&folder, &["serve", "--only", "http"], &PORTS);
    assert_eq!(unknown.wait(STOP_LIMIT).await.code(), Some(1));
    assert!(unknown.output().contains("there is no component `http`; there are: dogs.http"), "{}", unknown.output());
}

#[tokio::test]
async fn all_problems_of_all_services_are_one_report() {
    let folder = tempfile::tempdir().unwrap();
    let bad = [
        ("NOTES_OUTBOX_LEASE", "soon"),
        ("DOGS_IMAGE_LIMIT", "0B"),
        ("NOTES_GRPC_PORT", "8080"),
        ("SQLITE_PATH", "one.db"),
    ];
    let mut process = start(&folder, &["serve"], &bad);
    assert_eq!(process.wait(STOP_LIMIT).await.code(), Some(64));
    let output = process.output();
    for line in [
        "NOTES_OUTBOX_LEASE (environment): ",
        "DOGS_IMAGE_LIMIT (environment): ",
        "NOTES_SERVER_PORT (not set): must not be 8080, which is DOGS_SERVER_PORT",
        "NOTES_GRPC_PORT (environment): must not be 8080, which is",
        "must not be the database of dogs: each service has its own",
    ] {
        assert!(output.contains(line), "{line} in {output}");
    }
    assert!(!folder.path().join("data").exists(), "nothing is opened");
}

#[tokio::test]
async fn a_database_belongs_to_one_service() {
    let folder = tempfile::tempdir().unwrap();
    let env = [("SQLITE_PATH", "one.db")];
    let mut dogs = start(&folder, &["dogs", "migrate", "up"], &env);
    assert!(dogs.wait(STOP_LIMIT).await.success(), "{}", dogs.output());
    let mut notes = start(&folder, &["notes", "migrate", "up"], &env);
    assert_eq!(notes.wait(STOP_LIMIT).await.code(), Some(1));
    assert!(notes.output().contains("which this build does not know"), "{}", notes.output());
    let mut both = start(&folder, &["serve"], &[&PORTS[..], &env].concat());
    assert_eq!(both.wait(STOP_LIMIT).await.code(), Some(64));
    let problem = "SQLITE_PATH (environment): must not be the database of dogs: each service has its own";
    assert!(both.output().contains(problem), "{}", both.output());
}

#[tokio::test]
async fn one_file_has_the_settings_of_all_services() {
    let folder = tempfile::tempdir().unwrap();
    let file =
        "dogs_server_port = 0\nnotes_server_port = 0\ngrpc_port = 0\nprometheus_port = 0\nimage_limit = \"1MiB\"\n";
    std::fs::write(folder.path().join("all.toml"), file).unwrap();
    let env = [("CONFIG_FILE", "all.toml")];
    for args in [&["config", "check"][..], &["notes", "config", "check"], &["dogs", "migrate", "status"]] {
        let mut process = start(&folder, args, &env);
        let code = process.wait(STOP_LIMIT).await.code();
        assert!(matches!(code, Some(0 | 1)), "{args:?}: {}", process.output());
    }
    let mut reference = start(&folder, &["config", "reference"], &[("NOTES_OUTBOX_LEASE", "soon")]);
    assert!(reference.wait(STOP_LIMIT).await.success(), "{}", reference.output());
    for line in ["# The process", "# notes", "With the prefix `NOTES_`"] {
        assert!(reference.output().contains(line), "{line}");
    }
}

#[tokio::test]
async fn each_service_has_its_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let ports = [("NOTES_SQLITE_PATH", "other/notes.db")];
    let mut up = start(&folder, &["notes", "migrate", "up"], &ports);
    assert!(up.wait(STOP_LIMIT).await.success(), "{}", up.output());
    assert!(up.output().contains("0002_notes applied"), "{}", up.output());
    assert!(folder.path().join("other/notes.db").exists());
}

#[tokio::test]
async fn each_operation_is_open_to_its_scope_only() {
    let folder = tempfile::tempdir().unwrap();
    let services = ["dogs", "notes"].map(|service| (service, operations(service)));
    let callers = Callers::of(services.iter().map(|(_, operations)| operations));
    let (keys, [http, grpc, sys]) = (callers.api_keys(), PORTS);
    let mut process = start(&folder, &["serve"], &[http, grpc, sys, ("AUTH", "api-key"), ("AUTH_API_KEYS", &keys)]);
    for (service, operations) in &services {
        let http = Some(process.listener(&format!("{service}.http")).await);
        let grpc = Some(process.listener(&format!("{service}.grpc")).await);
        callers.call(Addresses { http, grpc }, operations).await;
    }
    process.terminate();
    assert!(process.wait(STOP_LIMIT).await.success(), "{}", process.output());
}
