//! The program with `AUTH`: what each caller gets, over HTTP and gRPC.

use std::path::Path;
use std::time::Duration;

use kennel_proto::notes::v1::note_service_client::NoteServiceClient;
use kennel_proto::notes::v1::{CreateNoteRequest, ListNotesRequest};
use kennel_testkit::probe;
use kennel_testkit::process::{Launch, ServiceProcess};
use tonic::{Code, Request};

const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Starts the program in a new folder.
fn start(variables: &[(&str, &str)]) -> (ServiceProcess, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let env = [&[("SERVER_PORT", "0"), ("GRPC_PORT", "0"), ("PROMETHEUS_PORT", "0")], variables].concat();
    let binary = Path::new(env!("CARGO_BIN_EXE_notes"));
    (ServiceProcess::start(&Launch { binary, args: &["serve"], env: &env, directory: folder.path() }), folder)
}

/// The hashes are those of `reader-key` and `other-key`.
const API_KEYS: &str = "\
    reader ec4408df15da46b328f6f3246fa723d0aa6cb0f0a0dd9c4626080ab1b02aa3b2 notes:read;\
    other 580843d03d2216ff1a275d0991bad66e4d1af871171d929e9de604b7959f9bca";

#[tokio::test]
async fn callers_get_what_their_scopes_allow_over_http_and_grpc() {
    let (mut process, _folder) = start(&[("AUTH", "api-key"), ("AUTH_API_KEYS", API_KEYS)]);
    let (http, grpc) = (process.listener("http").await, process.listener("grpc").await);
    let sys = process.listener("sys").await;
    process.ready(sys, "/ready").await;
    let client = NoteServiceClient::connect(format!("http://{grpc}")).await.unwrap();

    for (key, status, code, problem) in [
        (None, 401, Code::Unauthenticated, "unauthenticated"),
        (Some("wrong-key"), 401, Code::Unauthenticated, "unknown_api_key"),
        (Some("other-key"), 403, Code::PermissionDenied, "permission_denied"),
        (Some("reader-key"), 200, Code::Ok, ""),
    ] {
        let headers: Vec<_> = key.map(|key| ("x-api-key", key)).into_iter().collect();
        let response = probe::request(http, "GET", "/api/v1/notes", &headers).await.unwrap();
        assert_eq!(response.status, status, "{key:?}");
        assert_eq!(response.header("www-authenticate"), (status == 401).then_some("ApiKey"), "{key:?}");
        let text = String::from_utf8_lossy(&response.body);
        assert!(text.contains(problem), "{key:?}: {text}");

        let mut request = Request::new(ListNotesRequest::default());
        if let Some(key) = key {
            request.metadata_mut().insert("x-api-key", key.parse().unwrap());
        }
        let result = client.clone().list_notes(request).await;
        assert_eq!(result.as_ref().map_or_else(tonic::Status::code, |_| Code::Ok), code, "{key:?}");
    }
    let mut create = Request::new(CreateNoteRequest { text: "one".to_owned() });
    create.metadata_mut().insert("x-api-key", "reader-key".parse().unwrap());
    assert_eq!(client.clone().create_note(create).await.unwrap_err().code(), Code::PermissionDenied);
    let written = probe::request(http, "DELETE", "/api/v1/notes/0", &[("x-api-key", "reader-key")]).await.unwrap();
    assert_eq!(written.status, 403);
    for open in ["/live", "/ready", "/openapi.json", "/documentation/"] {
        assert_eq!(probe::get(http, open).await.unwrap().status, 200, "{open}");
    }
    process.shows(sys, "/metrics", r#"auth_refused_total{reason="missing_scope"} 4"#).await;
    process.terminate();
    assert!(process.wait(STOP_LIMIT).await.success(), "{}", process.output());
    assert!(!process.output().contains("reader-key"), "{}", process.output());
}

#[tokio::test]
async fn a_service_that_others_reach_is_open_only_by_choice() {
    let (mut process, _folder) = start(&[("SERVER_HOST", "0.0.0.0")]);
    assert_eq!(process.wait(STOP_LIMIT).await.code(), Some(64));
    assert!(
        process.output().contains("AUTH (not set): must be set when SERVER_HOST is 0.0.0.0"),
        "{}",
        process.output()
    );

    let (mut process, _folder) = start(&[("SERVER_HOST", "0.0.0.0"), ("AUTH", "none")]);
    let http = process.listener("http").await;
    let local = format!("127.0.0.1:{}", http.port()).parse().unwrap();
    process.ready(local, "/ready").await;
    assert_eq!(probe::get(local, "/api/v1/notes").await.unwrap().status, 200);
    process.terminate();
    assert!(process.wait(STOP_LIMIT).await.success());
    assert!(process.output().contains("requests are not authenticated, and other machines can send them"));
}
