//! Imports: many lines, faults in them, and interruptions.

use std::io;

use futures_util::stream;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Answer, PATIENCE, TestApp};

const PATH: &str = "/api/v1/dogs/import";

async fn import(app: &TestApp, key: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = app.request("POST", PATH).header("content-type", "application/x-ndjson");
    Answer::to(request.header("idempotency-key", key).body(body)).await
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
async fn every_faulty_line_is_told_and_the_rest_are_stored() {
    let app = TestApp::start().await;
    let lines = [
        // Editors on Windows begin a file with a byte order mark.
        "\u{feff}{\"breed\":\"husky\",\"name\":\"Balto\"}",
        r#"{"breed":"a.b"}"#,
        "",
        "not json",
        r#"{"breed":"boxer","colour":"red"}"#,
        r#"{"breed":"boxer","name":"\u0007"}"#,
        r#"{"breed":"boxer"}"#,
        r#"["husky","a",null,null,null]"#,
    ];
    let answer = import(&app, "faults", lines.join("\r\n")).await.expect(200);
    assert_eq!(answer.header("idempotency-key"), "faults");
    let report = answer.json();
    assert_eq!(
        (&report["import"], &report["lines"], &report["resumed_from"]),
        (&json!("faults"), &json!(8), &json!(0))
    );
    assert_eq!((&report["created"], &report["existing"], &report["failed"]), (&json!(2), &json!(0), &json!(5)));
    let told = report["errors"].as_array().unwrap().iter().map(|error| (error["line"].clone(), error["field"].clone()));
    let expected = [(2, json!("breed")), (4, json!(null)), (5, json!("colour")), (6, json!("name")), (8, json!(null))];
    assert_eq!(report["errors"][4]["reason"], "must be an object");
    assert_eq!(told.collect::<Vec<_>>(), expected.map(|(line, field)| (json!(line), field)));
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
    let mut told = 0;
    while told < 40_000 {
        let event = events.expect("dogs.imported").await;
        told += event.data["data"]["dogs"].as_u64().unwrap();
    }
    assert_eq!(told, 40_000);
}

#[tokio::test]
async fn an_interrupted_import_goes_on_without_doubling() {
    let app = TestApp::start().await;
    let (head, whole) = (rows(30), rows(50));
    let pieces = stream::iter([Ok(head), Err(io::Error::other("the caller went away"))]);
    let broken =
        app.request("POST", PATH).header("content-type", "application/x-ndjson").header("idempotency-key", "k");
    // The caller's own connection breaks, so there may be no answer to read.
    drop(broken.body(reqwest::Body::wrap_stream(pieces)).send().await);

    let report = import(&app, "k", whole.clone()).await.expect(200).json();
    assert_eq!(report["lines"], 50);
    let (resumed, created) = (report["resumed_from"].as_u64().unwrap(), report["created"].as_u64().unwrap());
    let existing = report["existing"].as_u64().unwrap();
    assert_eq!(resumed + created + existing, 50, "{report}");
    assert_eq!(dogs(&app).await, 50);

    let again = import(&app, "k", whole).await.expect(200).json();
    assert_eq!((&again["resumed_from"], &again["created"]), (&json!(50), &json!(0)));
    import(&app, "k", rows(49).replace("husky", "boxer") + "\n\n\n").await.refuses("Idempotency-Key");
    assert_eq!(dogs(&app).await, 50);
}

#[tokio::test]
async fn a_key_is_made_for_callers_without_one() {
    let app = TestApp::start().await;
    let post = || {
        let request = app.request("POST", PATH).header("content-type", "application/x-ndjson; charset=utf-8");
        Answer::to(request.body(rows(1)))
    };
    let (one, other) = (post().await.expect(200), post().await.expect(200));
    assert_ne!(one.header("idempotency-key"), other.header("idempotency-key"));
    assert_eq!(one.header("idempotency-key"), one.json()["import"]);
    assert_eq!(dogs(&app).await, 2);
}

#[tokio::test]
async fn what_is_no_import_is_refused() {
    let app = TestApp::start().await;
    for content_type in ["application/json", "text/plain", ""] {
        let request = app.request("POST", PATH).header("content-type", content_type);
        Answer::to(request.body(rows(1))).await.expect(415);
    }
    import(&app, "a b", rows(1)).await.refuses("Idempotency-Key");
    app.get(PATH).await.expect(405);
    let report = import(&app, "empty", "").await.expect(200).json();
    assert_eq!((&report["lines"], &report["created"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn a_body_that_breaks_says_how_far_it_came() {
    let app = TestApp::start().await;
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: kennel.test\r\ncontent-type: application/x-ndjson\r\n\
         idempotency-key: broken\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    let lines = rows(3);
    let mut connection = TcpStream::connect(app.base.strip_prefix("http://").unwrap()).await.unwrap();
    let request = format!("{head}{:x}\r\n{lines}\r\nthis is no chunk\r\n", lines.len());
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, connection.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("idempotency-key: broken") && answer.contains("interrupted after 3 lines"), "{answer}");
    assert_eq!(dogs(&app).await, 3);
    let report = import(&app, "broken", rows(5)).await.expect(200).json();
    assert_eq!((&report["resumed_from"], &report["created"]), (&json!(3), &json!(2)));
}
