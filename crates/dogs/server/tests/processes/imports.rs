//! `import` and `export`: faults, breaks, repetitions, and the way from one database into another.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::home::{Home, eventually};

/// Lines that commit together.
const BATCH: u64 = dogs_domain::import::BATCH_LINES as u64;

fn lines(range: std::ops::Range<usize>) -> String {
    let lines: Vec<_> = range.map(|n| format!("{{\"breed\":\"husky\",\"name\":\"dog {n}\"}}\n")).collect();
    lines.concat()
}

#[tokio::test]
async fn what_is_exported_is_the_same_elsewhere() {
    let (here, there) = (Home::new(), Home::new());
    here.run_with_input(&["import", "-", "--key", "k"], lines(0..2_500).as_bytes()).await.ends(0);
    let row =
        r#"{"breed":"Hound/Afghan","image_url":"https://dogs.example/a.jpg","created_at":"2020-02-29T12:00:00.123Z"}"#;
    here.run_with_input(&["import", "-", "--key", "other"], row.as_bytes()).await.ends(0);
    here.run(&["fetch", "boxer"]).await.ends(0);
    let exported = here.run(&["export"]).await.ends(0).stdout;
    assert_eq!(exported.lines().count(), 2_502);
    assert!(exported.contains(r#""created_at":"2020-02-29T12:00:00.123Z""#));

    let file = there.write("dogs.ndjson", &exported);
    let ended = there.run(&["import", file.to_str().unwrap()]).await.ends(0);
    assert_eq!(ended.stdout, "2502 lines: 2502 created, 0 existing, 0 refused\n");
    assert_eq!(there.run(&["export"]).await.ends(0).stdout, exported);
    let some = ["list", "--json", "--limit", "1000"];
    assert_eq!(there.run(&some).await.ends(0).rows(), here.run(&some).await.ends(0).rows());
    let boxers = here.run(&["export", "--breed", "boxer"]).await.ends(0).rows();
    assert_eq!((boxers.len(), &boxers[0]["breed"]), (1, &json!("boxer")));

    let again = here.run_with_input(&["import", "-", "--key", "back"], exported.as_bytes()).await.ends(0);
    assert_eq!(again.stdout, "2502 lines: 0 created, 2502 existing, 0 refused\n");
}

const FAULTY: &str = r#"{"breed":"husky","name":"Balto"}
{"breed":"a.b"}

not json
{"breed":"boxer","colour":"red"}
{"breed":"boxer","name":" "}
{"breed":"boxer","image_url":"ftp://dogs.example"}
{"breed":"boxer","id":"7"}
{"breed":"boxer"}"#;

#[tokio::test]
async fn faulty_lines_are_told_and_the_others_are_in() {
    let home = Home::new();
    home.write("faulty.ndjson", FAULTY);
    let ended = home.run(&["import", "faulty.ndjson"]).await.ends(1);
    assert_eq!(ended.stdout, "9 lines: 2 created, 0 existing, 6 refused\n");
    let told: Vec<_> = ended.stderr.lines().collect();
    let starts = [
        "line 2: breed: ",
        "line 4: not JSON: ",
        "line 5: colour: ",
        "line 6: name: ",
        "line 7: image_url: ",
        "line 8: id: ",
    ];
    assert_eq!(told.len(), starts.len(), "{}", ended.stderr);
    assert!(told.iter().zip(starts).all(|(line, start)| line.starts_with(start)), "{}", ended.stderr);
    assert!(told[2].contains("colour"), "{}", told[2]);

    let again = home.run(&["import", "faulty.ndjson"]).await.ends(0);
    assert_eq!(again.stdout, "9 lines: 0 created, 0 existing, 0 refused, resumed after line 9\n");
    assert_eq!(home.run(&["list", "--json"]).await.ends(0).rows().len(), 2);

    let ended = home.run(&["import", "faulty.ndjson", "--key", "anew", "--errors", "refused.ndjson"]).await.ends(1);
    assert_eq!(ended.stderr, "");
    let refused = std::fs::read_to_string(home.path().join("refused.ndjson")).unwrap();
    let refused: Vec<Value> = refused.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = refused.iter().map(|error| (error["line"].as_u64().unwrap(), error["field"].as_str())).collect();
    let fields = [None, Some("colour"), Some("name"), Some("image_url"), Some("id")];
    assert_eq!(told[0], (2, Some("breed")));
    assert_eq!(told[1..].iter().map(|(_, field)| *field).collect::<Vec<_>>(), fields);
}

#[tokio::test]
async fn a_killed_import_goes_on_and_tells_of_each_batch_once() {
    let home = Home::new();
    let served = home.serve().await;
    let mut events = served.events(None).await;
    let count = 5 * usize::try_from(BATCH).unwrap() + 7;
    home.write("dogs.ndjson", lines(0..count));

    let mut killed = home.spawn(&["import", "-", "--key", "k"]);
    let mut input = killed.stdin.take().unwrap();
    input.write_all(lines(0..count / 2).as_bytes()).await.unwrap();
    // The input goes on, so that it is in the middle of it whenever it dies.
    let first = events.expect("dogs.imported").await;
    killed.kill().await.unwrap();
    drop(input);

    let ended = home.run(&["import", "dogs.ndjson", "--key", "k"]).await.ends(0);
    assert!(ended.stdout.contains(", resumed after line "), "{}", ended.stdout);
    assert!(ended.stdout.contains(" 0 refused"), "{}", ended.stdout);
    assert_eq!(home.run(&["export"]).await.ends(0).stdout.lines().count(), count);
    let again = home.run(&["import", "dogs.ndjson", "--key", "k"]).await.ends(0);
    assert!(again.stdout.contains(": 0 created, 0 existing, 0 refused"), "{}", again.stdout);

    let mut told = vec![first];
    while told.last().unwrap().data["data"]["lines"] != count {
        told.push(events.expect("dogs.imported").await);
    }
    let ids: BTreeSet<_> = told.iter().map(|event| &event.id).collect();
    let batches: Vec<_> = told.iter().map(|event| event.data["data"].clone()).collect();
    let whole = (1..=5).map(|n| json!({ "import": "k", "lines": n * BATCH, "dogs": BATCH }));
    let expected: Vec<_> = whole.chain([json!({ "import": "k", "lines": count, "dogs": 7 })]).collect();
    assert_eq!((batches, ids.len()), (expected, 6));
    assert_eq!(served.told_since(&told.last().unwrap().id).await, []);
    served.stop().await;
}

#[tokio::test]
async fn a_killed_import_of_faulty_lines_is_not_lost() {
    let home = Home::new();
    let count = 3 * usize::try_from(BATCH).unwrap();
    let faulty: String =
        (0..count).map(|n| if n % 10 == 0 { "{\"breed\":\"a.b\"}\n".to_owned() } else { lines(n..n + 1) }).collect();
    let half: Vec<_> = faulty.split_inclusive('\n').take(count / 2).collect();
    let mut killed = home.spawn(&["import", "-", "--key", "k"]);
    let mut input = killed.stdin.take().unwrap();
    input.write_all(half.concat().as_bytes()).await.unwrap();
    eventually("a batch is in", async || {
        let rows = home.run(&["list", "--json", "--limit", "1"]).await.ends(0).rows();
        (!rows.is_empty()).then_some(())
    })
    .await;
    killed.kill().await.unwrap();
    let ended = home.run_with_input(&["import", "-", "--key", "k"], faulty.as_bytes()).await.ends(1);
    assert!(ended.stdout.contains("resumed after line "), "{}", ended.stdout);
    assert_eq!(home.run(&["export"]).await.ends(0).stdout.lines().count(), count - count.div_ceil(10));
}

#[tokio::test]
async fn other_lines_under_the_same_key_are_refused() {
    let home = Home::new();
    home.write("dogs.ndjson", lines(0..10));
    home.run(&["import", "dogs.ndjson", "--key", "k"]).await.ends(0);
    for changed in [lines(1..11), lines(0..9), String::new()] {
        home.write("dogs.ndjson", changed);
        let ended = home.run(&["import", "dogs.ndjson", "--key", "k"]).await.ends(1);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert!(
            ended.stderr.starts_with("error: import k: ") && ended.stderr.contains("different lines"),
            "{}",
            ended.stderr
        );
    }
    // More lines behind the same ones are the rest of the same import.
    home.write("dogs.ndjson", lines(0..15));
    let ended = home.run(&["import", "dogs.ndjson", "--key", "k"]).await.ends(0);
    assert_eq!(ended.stdout, "15 lines: 5 created, 0 existing, 0 refused, resumed after line 10\n");
    assert_eq!(home.run(&["export"]).await.ends(0).stdout.lines().count(), 15);
}

#[tokio::test]
async fn what_cannot_be_imported_is_told() {
    let home = Home::new();
    let ended = home.run(&["import", "nowhere.ndjson"]).await.ends(1);
    assert!(ended.stderr.starts_with("error: nowhere.ndjson: "), "{}", ended.stderr);
    let ended = home.run(&["import", "-"]).await.ends(1);
    assert!(ended.stderr.contains("--key"), "{}", ended.stderr);
    let ended = home.run(&["import", "."]).await.ends(1);
    assert!(ended.stderr.contains("not a regular file"), "{}", ended.stderr);
    home.write("dogs.ndjson", lines(0..1));
    let ended = home.run(&["import", "dogs.ndjson", "--key", "a b"]).await.ends(1);
    assert!(ended.stderr.contains("visible ASCII"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("Idempotency-Key"), "{}", ended.stderr);
    assert_eq!(home.run(&["list"]).await.ends(0).stdout, "");
}
