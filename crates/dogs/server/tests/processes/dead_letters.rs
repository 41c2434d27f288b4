//! `dlq`: a picture that nobody can make small, looked at, tried again and dropped.

use kennel_testkit::upstream::pictures;
use serde_json::{Value, json};

use crate::home::{Home, Served, eventually};
use crate::support::Answer;

/// Begins like a PNG file and does not go on like one.
const BROKEN: &[u8] = b"\x89PNG\r\n\x1a\n and so on";

async fn put_photo(served: &Served, id: &str, photo: impl Into<reqwest::Body>) {
    let request = served.request("PUT", &format!("/api/v1/dogs/{id}/photo")).header("content-type", "image/png");
    Answer::to(request.body(photo)).await.expect(200);
}

/// The letter of the event, once there is one that is younger than `than`.
async fn letter(home: &Home, event: &str, than: &str) -> Value {
    eventually("the event is a dead letter", async || {
        let ended = home.run(&["dlq", "show", event]).await;
        let letter: Value = serde_json::from_str(&ended.stdout).ok()?;
        (letter["failures"][0]["at"].as_str()? > than).then_some(letter)
    })
    .await
}

#[tokio::test]
async fn a_dead_letter_is_shown_tried_again_and_dropped() {
    let home = Home::new();
    let served = home.serve().await;
    assert_eq!(home.run(&["dlq", "list"]).await.ends(0).stdout, "");
    let mut events = served.events(None).await;
    let id = served.dog("Balto").await;
    put_photo(&served, &id, BROKEN).await;
    events.expect("dogs.created").await;
    events.expect("dogs.updated").await;
    let stored = events.expect("dogs.image_stored").await.id;

    let first = letter(&home, &stored, "").await;
    assert_eq!(
        (&first["id"], &first["type"], &first["subject"]),
        (&json!(stored), &json!("dogs.image_stored"), &json!(id))
    );
    assert_eq!(first["data"]["size"], BROKEN.len());
    let failure = &first["failures"][0];
    assert_eq!((&failure["group"], &failure["attempts"]), (&json!("dogs.thumbnailer"), &json!(1)));
    assert!(failure["reason"].as_str().unwrap().contains("picture is damaged"), "{failure}");
    let listed = home.run(&["dlq", "list"]).await.ends(0).stdout;
    assert_eq!(listed.lines().count(), 1, "{listed}");
    assert!(listed.starts_with(&stored) && listed.contains("dogs.thumbnailer"), "{listed}");

    assert_eq!(home.run(&["dlq", "replay", &stored]).await.ends(0).stdout, format!("{stored} replayed\n"));
    letter(&home, &stored, failure["at"].as_str().unwrap()).await;
    assert_eq!(home.run(&["dlq", "drop", &stored]).await.ends(0).stdout, format!("{stored} dropped\n"));
    assert_eq!(home.run(&["dlq", "list"]).await.ends(0).stdout, "");
    for command in ["show", "replay", "drop"] {
        let ended = home.run(&["dlq", command, &stored]).await.ends(1);
        assert_eq!(ended.stderr, format!("error: no dead letter has the event id {stored}\n"));
    }

    // The next picture of the same dog is not held up by the one that failed.
    put_photo(&served, &id, pictures::jpeg("husky")).await;
    eventually("the small copy is made", async || {
        let dog = served.get(&format!("/api/v1/dogs/{id}")).await.expect(200).json();
        dog["thumbnail_url"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(home.run(&["dlq", "list"]).await.ends(0).stdout, "");
    served.stop().await;
}
