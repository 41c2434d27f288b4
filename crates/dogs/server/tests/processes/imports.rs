//! `import` and `export`: invalid lines, interruptions, repetitions, and copying dogs to another database.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::service_dir::{ServiceDir, eventually};

/// Lines per batch.
const BATCH: u64 = dogs_domain::import::BATCH_LINES as u64;

fn lines(range: std::ops::Range<usize>) -> String {
    let lines: Vec<_> = range.map(|n| format!("{{\"breed\":\"husky\",\"name\":\"dog {n}\"}}\n")).collect();
    lines.concat()
}

#[tokio::test]
async fn an_export_is_imported_unchanged() {
    let (source, target) = (ServiceDir::new(), ServiceDir::new());
    source.run_with_input(&["import", "-", "--key", "k"], lines(0..2_500).as_bytes()).await.ends(0);
    let row =
        r#"{"breed":"Hound/Afghan","image_url":"https://dogs.example/a.jpg","created_at":"2020-02-29T12:00:00.123Z"}"#;
    source.run_with_input(&["import", "-", "--key", "other"], row.as_bytes()).await.ends(0);
    source.run(&["fetch", "boxer"]).await.ends(0);
    let exported = source.run(&["export"]).await.ends(0).stdout;
    assert_eq!(exported.lines().count(), 2_502);
    assert!(exported.contains(r#""created_at":"2020-02-29T12:00:00.123Z""#));

    let file = target.write("dogs.ndjson", &exported);
    let ended = target.run(&["import", file.to_str().unwrap()]).await.ends(0);
    assert_eq!(ended.stdout, "2502 lines: 2502 created, 0 existing, 0 rejected\n");
    assert_eq!(target.run(&["export"]).await.ends(0).stdout, exported);
    let newest = ["list", "--json", "--limit", "1000"];
    assert_eq!(target.run(&newest).await.ends(0).rows(), source.run(&newest).await.ends(0).rows());
    let boxers = source.run(&["export", "--breed", "boxer"]).await.ends(0).rows();
    assert_eq!((boxers.len(), &boxers[0]["breed"]), (1, &json!("boxer")));

    let again = source.run_with_input(&["import", "-", "--key", "back"], exported.as_bytes()).await.ends(0);
    assert_eq!(again.stdout, "2502 lines: 0 created, 2502 existing, 0 rejected\n");
}

const INVALID: &str = r#"{"breed":"husky","name":"Balto"}
{"breed":"a.b"}

not json
{"breed":"boxer","colour":"red"}
{"breed":"boxer","name":" "}
{"breed":"boxer","image_url":"ftp://dogs.example"}
{"breed":"boxer","id":"7"}
{"breed":"boxer"}"#;

#[tokio::test]
async fn invalid_lines_are_reported_and_the_others_are_imported() {
    let directory = ServiceDir::new();
    directory.write("invalid.ndjson", INVALID);
    let ended = directory.run(&["import", "invalid.ndjson"]).await.ends(1);
    assert_eq!(ended.stdout, "9 lines: 2 created, 0 existing, 6 rejected\n");
    let errors: Vec<_> = ended.stderr.lines().collect();
    let starts = [
        "line 2: breed: ",
        "line 4: not JSON: ",
        "line 5: colour: ",
        "line 6: name: ",
        "line 7: image_url: ",
        "line 8: id: ",
    ];
    assert_eq!(errors.len(), starts.len(), "{}", ended.stderr);
    assert!(errors.iter().zip(starts).all(|(line, start)| line.starts_with(start)), "{}", ended.stderr);
    assert!(errors[2].contains("colour"), "{}", errors[2]);

    let again = directory.run(&["import", "invalid.ndjson"]).await.ends(0);
    assert_eq!(again.stdout, "9 lines: 0 created, 0 existing, 0 rejected, resumed after line 9\n");
    assert_eq!(directory.run(&["list", "--json"]).await.ends(0).rows().len(), 2);

    let ended =
        directory.run(&["import", "invalid.ndjson", "--key", "again", "--errors", "rejected.ndjson"]).await.ends(1);
    assert_eq!(ended.stderr, "");
    let rejected = std::fs::read_to_string(directory.path().join("rejected.ndjson")).unwrap();
    let rejected: Vec<Value> = rejected.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let fields_by_line: Vec<_> =
        rejected.iter().map(|error| (error["line"].as_u64().unwrap(), error["field"].as_str())).collect();
    let fields = [None, Some("colour"), Some("name"), Some("image_url"), Some("id")];
    assert_eq!(fields_by_line[0], (2, Some("breed")));
    assert_eq!(fields_by_line[1..].iter().map(|(_, field)| *field).collect::<Vec<_>>(), fields);
}

#[tokio::test]
async fn a_killed_import_resumes_and_publishes_each_batch_once() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let mut events = served.events(None).await;
    let count = 5 * usize::try_from(BATCH).unwrap() + 7;
    directory.write("dogs.ndjson", lines(0..count));

    let mut killed = directory.spawn(&["import", "-", "--key", "k"]);
    let mut input = killed.stdin.take().unwrap();
    input.write_all(lines(0..count / 2).as_bytes()).await.unwrap();
    // The input does not end, so the import is still running when it is killed.
    let first = events.expect("dogs.imported").await;
    killed.kill().await.unwrap();
    drop(input);

    let ended = directory.run(&["import", "dogs.ndjson", "--key", "k"]).await.ends(0);
    assert!(ended.stdout.contains(", resumed after line "), "{}", ended.stdout);
    assert!(ended.stdout.contains(" 0 rejected"), "{}", ended.stdout);
    assert_eq!(directory.run(&["export"]).await.ends(0).stdout.lines().count(), count);
    let again = directory.run(&["import", "dogs.ndjson", "--key", "k"]).await.ends(0);
    assert!(again.stdout.contains(": 0 created, 0 existing, 0 rejected"), "{}", again.stdout);

    let mut received = vec![first];
    while received.last().unwrap().data["data"]["lines"] != count {
        received.push(events.expect("dogs.imported").await);
    }
    let ids: BTreeSet<_> = received.iter().map(|event| &event.id).collect();
    let batches: Vec<_> = received.iter().map(|event| event.data["data"].clone()).collect();
    let complete = (1..=5).map(|n| json!({ "import": "k", "lines": n * BATCH, "dogs": BATCH }));
    let expected: Vec<_> = complete.chain([json!({ "import": "k", "lines": count, "dogs": 7 })]).collect();
    assert_eq!((batches, ids.len()), (expected, 6));
    assert_eq!(served.events_since(&received.last().unwrap().id).await, []);
    served.stop().await;
}

#[tokio::test]
async fn a_killed_import_of_invalid_lines_resumes() {
    let directory = ServiceDir::new();
    let count = 3 * usize::try_from(BATCH).unwrap();
    let invalid: String =
        (0..count).map(|n| if n % 10 == 0 { "{\"breed\":\"a.b\"}\n".to_owned() } else { lines(n..n + 1) }).collect();
    let half: Vec<_> = invalid.split_inclusive('\n').take(count / 2).collect();
    let mut killed = directory.spawn(&["import", "-", "--key", "k"]);
    let mut input = killed.stdin.take().unwrap();
    input.write_all(half.concat().as_bytes()).await.unwrap();
    eventually("a batch is stored", async || {
        let rows = directory.run(&["list", "--json", "--limit", "1"]).await.ends(0).rows();
        (!rows.is_empty()).then_some(())
    })
    .await;
    killed.kill().await.unwrap();
    let ended = directory.run_with_input(&["import", "-", "--key", "k"], invalid.as_bytes()).await.ends(1);
    assert!(ended.stdout.contains("resumed after line "), "{}", ended.stdout);
    assert_eq!(directory.run(&["export"]).await.ends(0).stdout.lines().count(), count - count.div_ceil(10));
}

#[tokio::test]
async fn other_lines_with_the_same_key_are_rejected() {
    let directory = ServiceDir::new();
    directory.write("dogs.ndjson", lines(0..10));
    directory.run(&["import", "dogs.ndjson", "--key", "k"]).await.ends(0);
    for changed in [lines(1..11), lines(0..9), String::new()] {
        directory.write("dogs.ndjson", changed);
        let ended = directory.run(&["import", "dogs.ndjson", "--key", "k"]).await.ends(1);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert!(
            ended.stderr.starts_with("error: import k: ") && ended.stderr.contains("different lines"),
            "{}",
            ended.stderr
        );
    }
    // More lines after the same ones continue the import.
    directory.write("dogs.ndjson", lines(0..15));
    let ended = directory.run(&["import", "dogs.ndjson", "--key", "k"]).await.ends(0);
    assert_eq!(ended.stdout, "15 lines: 5 created, 0 existing, 0 rejected, resumed after line 10\n");
    assert_eq!(directory.run(&["export"]).await.ends(0).stdout.lines().count(), 15);
}

#[tokio::test]
async fn unreadable_input_is_reported() {
    let directory = ServiceDir::new();
    let ended = directory.run(&["import", "nowhere.ndjson"]).await.ends(1);
    assert!(ended.stderr.starts_with("error: nowhere.ndjson: "), "{}", ended.stderr);
    let ended = directory.run(&["import", "-"]).await.ends(1);
    assert!(ended.stderr.contains("--key"), "{}", ended.stderr);
    let ended = directory.run(&["import", "."]).await.ends(1);
    assert!(ended.stderr.contains("not a regular file"), "{}", ended.stderr);
    directory.write("dogs.ndjson", lines(0..1));
    let ended = directory.run(&["import", "dogs.ndjson", "--key", "a b"]).await.ends(1);
    assert!(ended.stderr.contains("visible ASCII"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("Idempotency-Key"), "{}", ended.stderr);
    assert_eq!(directory.run(&["list"]).await.ends(0).stdout, "");
}
