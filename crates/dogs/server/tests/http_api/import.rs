//! Imports: many lines, invalid lines, and interruptions.

use std::io;

use futures_util::stream;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{TEST_TIMEOUT, TestApp, TestResponse};

const PATH: &str = "/api/v1/dogs/import";

async fn import(app: &TestApp, key: &str, body: impl Into<reqwest::Body>) -> TestResponse {
    let request = app.request("POST", PATH).header("content-type", "application/x-ndjson");
    TestResponse::of(request.header("idempotency-key", key).body(body)).await
}

fn rows(count: usize) -> String {
    let rows: Vec<_> =
        (0..count).map(|n| json!({ "breed": "husky", "name": format!("dog {n}") }).to_string()).collect();
    rows.join("\n") + "\n"
}

async fn dogs(app: &TestApp) -> usize {
    app.get("/api/v1/dogs?limit=1000").await.expect(200).json()["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn invalid_lines_are_reported_and_the_others_are_stored() {
    let app = TestApp::start().await;
    let lines = [
        // Editors on Windows write a byte order mark at the start of a file.
        "\u{feff}{\"breed\":\"husky\",\"name\":\"Balto\"}",
        r#"{"breed":"a.b"}"#,
        "",
        "not json",
        r#"{"breed":"boxer","colour":"red"}"#,
        r#"{"breed":"boxer","name":"\u0007"}"#,
        r#"{"breed":"boxer"}"#,
        r#"["husky","a",null,null,null]"#,
    ];
    let response = import(&app, "invalid", lines.join("\r\n")).await.expect(200);
    assert_eq!(response.header("idempotency-key"), "invalid");
    let report = response.json();
    assert_eq!(
        (&report["import"], &report["lines"], &report["resumed_from"]),
        (&json!("invalid"), &json!(8), &json!(0))
    );
    assert_eq!((&report["created"], &report["existing"], &report["failed"]), (&json!(2), &json!(0), &json!(5)));
    let errors =
        report["errors"].as_array().unwrap().iter().map(|error| (error["line"].clone(), error["field"].clone()));
    let expected = [(2, json!("breed")), (4, json!(null)), (5, json!("colour")), (6, json!("name")), (8, json!(null))];
    assert_eq!(report["errors"][4]["reason"], "must be an object");
    assert_eq!(errors.collect::<Vec<_>>(), expected.map(|(line, field)| (json!(line), field)));
    assert_eq!(dogs(&app).await, 2);
}

#[tokio::test]
async fn an_import_may_be_larger_than_other_bodies_and_is_one_event_a_batch() {
    let app = TestApp::start().await;
    let mut events = app.events(None).await;
    let body = rows(40_000);
    assert!(body.len() > 1024 * 1024);
    let report = import(&app, "large", body).await.expect(200).json();
    assert_eq!((&report["created"], &report["failed"]), (&json!(40_000), &json!(0)));
    let mut reported = 0;
    while reported < 40_000 {
        let event = events.expect("dogs.imported").await;
        reported += event.data["data"]["dogs"].as_u64().unwrap();
    }
    assert_eq!(reported, 40_000);
}

#[tokio::test]
async fn an_interrupted_import_resumes_without_duplicates() {
    let app = TestApp::start().await;
    let (head, all) = (rows(30), rows(50));
    let pieces = stream::iter([Ok(head), Err(io::Error::other("connection closed"))]);
    let broken =
        app.request("POST", PATH).header("content-type", "application/x-ndjson").header("idempotency-key", "k");
    // The connection is closed by the client, so there may be no response.
    drop(broken.body(reqwest::Body::wrap_stream(pieces)).send().await);

    let report = import(&app, "k", all.clone()).await.expect(200).json();
    assert_eq!(report["lines"], 50);
    let (resumed, created) = (report["resumed_from"].as_u64().unwrap(), report["created"].as_u64().unwrap());
    let existing = report["existing"].as_u64().unwrap();
    assert_eq!(resumed + created + existing, 50, "{report}");
    assert_eq!(dogs(&app).await, 50);

    let again = import(&app, "k", all).await.expect(200).json();
    assert_eq!((&again["resumed_from"], &again["created"]), (&json!(50), &json!(0)));
    import(&app, "k", rows(49).replace("husky", "boxer") + "\n\n\n").await.expect_invalid("Idempotency-Key");
    assert_eq!(dogs(&app).await, 50);
}

#[tokio::test]
async fn a_key_is_generated_for_requests_without_one() {
    let app = TestApp::start().await;
    let post = || {
        let request = app.request("POST", PATH).header("content-type", "application/x-ndjson; charset=utf-8");
        TestResponse::of(request.body(rows(1)))
    };
    let (one, other) = (post().await.expect(200), post().await.expect(200));
    assert_ne!(one.header("idempotency-key"), other.header("idempotency-key"));
    assert_eq!(one.header("idempotency-key"), one.json()["import"]);
    assert_eq!(dogs(&app).await, 2);
}

#[tokio::test]
async fn invalid_imports_are_rejected() {
    let app = TestApp::start().await;
    for content_type in ["application/json", "text/plain", ""] {
        let request = app.request("POST", PATH).header("content-type", content_type);
        TestResponse::of(request.body(rows(1))).await.expect(415);
    }
    import(&app, "a b", rows(1)).await.expect_invalid("Idempotency-Key");
    app.get(PATH).await.expect(405);
    let report = import(&app, "empty", "").await.expect(200).json();
    assert_eq!((&report["lines"], &report["created"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn an_invalid_body_is_reported_with_the_imported_lines() {
    let app = TestApp::start().await;
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: kennel.test\r\ncontent-type: application/x-ndjson\r\n\
         idempotency-key: broken\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    let lines = rows(3);
    let mut connection = TcpStream::connect(app.base.strip_prefix("http://").unwrap()).await.unwrap();
    let request = format!("{head}{:x}\r\n{lines}\r\nthis is no chunk\r\n", lines.len());
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    timeout(TEST_TIMEOUT, connection.read_to_string(&mut response)).await.unwrap().unwrap();
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    assert!(
        response.contains("idempotency-key: broken") && response.contains("interrupted after 3 lines"),
        "{response}"
    );
    assert_eq!(dogs(&app).await, 3);
    let report = import(&app, "broken", rows(5)).await.expect(200).json();
    assert_eq!((&report["resumed_from"], &report["created"]), (&json!(3), &json!(2)));
}
