//! Two services in one process.

use std::path::Path;
use std::time::Duration;

use kennel_testkit::probe;
use kennel_testkit::process::{Launch, ServiceProcess};
use tempfile::TempDir;

const PORTS: [(&str, &str); 3] = [("SERVER_PORT", "0"), ("GRPC_PORT", "0"), ("PROMETHEUS_PORT", "0")];
const STOP_LIMIT: Duration = Duration::from_secs(20);

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
    process.listener("notes.grpc").await;
    process.ready(sys, "/ready").await;
    for service in ["dogs", "notes"] {
        process.shows(sys, "/ready", &format!("\"name\":\"{service}.storage\"")).await;
        process
            .shows(sys, "/metrics", &format!("route=\"/api/v1/{service}\",status=\"200\",service=\"{service}\""))
            .await;
        process.shows(sys, "/metrics", &format!("outbox_pending{{service=\"{service}\"}} 0")).await;
        assert!(folder.path().join(format!("data/{service}.db")).exists());
    }
    let metrics = String::from_utf8(probe::get(sys, "/metrics").await.unwrap().body).unwrap();
    assert_eq!(metrics.matches("# TYPE http_requests_total counter").count(), 1, "one family for all services");
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
    let bad = [("NOTES_REQUEST_TIMEOUT", "1s"), ("NOTES_OUTBOX_LEASE", "soon"), ("DOGS_IMAGE_LIMIT", "0B")];
    let mut process = start(&folder, &["serve"], &bad);
    assert_eq!(process.wait(STOP_LIMIT).await.code(), Some(64));
    let output = process.output();
    for line in [
        "NOTES_OUTBOX_LEASE (environment): ",
        "DOGS_IMAGE_LIMIT (environment): ",
        "NOTES_SERVER_PORT (not set): must not be 8080, the port of server_port of dogs",
    ] {
        assert!(output.contains(line), "{line} in {output}");
    }
    assert!(!folder.path().join("data").exists(), "nothing is opened");
}

#[tokio::test]
async fn a_database_belongs_to_one_service() {
    let folder = tempfile::tempdir().unwrap();
    let mut env = PORTS.to_vec();
    env.push(("SQLITE_PATH", "shared.db"));
    let mut process = start(&folder, &["serve"], &env);
    assert_eq!(process.wait(STOP_LIMIT).await.code(), Some(1));
    let error =
        "the service `notes`: cannot migrate the schema: the database has migration 0002_dogs, which this build";
    assert!(process.output().contains(error), "{}", process.output());
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
