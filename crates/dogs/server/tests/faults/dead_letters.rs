//! `dlq`: pictures that nobody can make small, looked at, tried again and dropped. None such is taken: these were damaged
//! where they are stored.

use std::path::{Path, PathBuf};

use kennel_broker::Backend;
use kennel_testkit::upstream::images;
use serde_json::{Value, json};

use crate::place::{ProxiedBroker, corner, furnished};
use crate::support::TestResponse;
use crate::support::service_dir::{RunningService, ServiceDir, eventually};

/// A home on this broker, for as long as the corner is kept; `None`, said aloud, when there is no server.
async fn home(broker: Backend) -> Option<(ServiceDir, Option<ProxiedBroker>)> {
    let corner = corner(broker).await?;
    let variables = corner.as_ref().map(ProxiedBroker::direct).unwrap_or_default();
    Some((furnished(ServiceDir::new().set("CONSUMER_MAX_ATTEMPTS", "2"), variables), corner))
}

async fn put_photo(served: &RunningService, id: &str, photo: impl Into<reqwest::Body>) {
    let request = served.request("PUT", &format!("/api/v1/dogs/{id}/photo")).header("content-type", "image/png");
    TestResponse::of(request.body(photo)).await.expect(200);
}

/// The letter of the event, once there is one that is younger than `than`.
async fn letter(home: &ServiceDir, event: &str, than: &str) -> Value {
    eventually("the event is a dead letter", async || {
        let ended = home.run(&["dlq", "show", event]).await;
        let letter: Value = serde_json::from_str(&ended.stdout).ok()?;
        (letter["failures"][0]["at"].as_str()? > than).then_some(letter)
    })
    .await
}

/// The event of the first letter in the list.
async fn listed(home: &ServiceDir) -> String {
    let listed = eventually("the event is a dead letter", async || {
        let listed = home.run(&["dlq", "list"]).await.ends(0).stdout;
        (!listed.is_empty()).then_some(listed)
    })
    .await;
    listed.split("  ").next().unwrap().to_owned()
}

async fn made_small(served: &RunningService, id: &str) {
    eventually("the small copy is made", async || {
        let dog = served.get(&format!("/api/v1/dogs/{id}")).await.expect(200).json();
        dog["thumbnail_url"].as_str().map(str::to_owned)
    })
    .await;
}

async fn no_letters(home: &ServiceDir) {
    let ended = home.run(&["dlq", "list"]).await.ends(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""), "nothing to tell");
}

pub async fn a_letter_is_listed_shown_tried_again_and_dropped(broker: Backend) {
    let Some((home, _corner)) = home(broker).await else { return };
    let quiet = home.serve_without_relay().await;
    let id = quiet.dog("Balto").await;
    let picture = images::png("husky");
    put_photo(&quiet, &id, picture.clone()).await;
    quiet.stop().await;
    damage(&file_below(&home.path().join("data/objects")), picture.len());
    no_letters(&home).await;
    let served = home.serve().await;
    let stored = listed(&home).await;

    let first = letter(&home, &stored, "").await;
    assert_eq!(
        (&first["id"], &first["type"], &first["subject"]),
        (&json!(stored), &json!("dogs.image_stored"), &json!(id))
    );
    assert_eq!(first["data"]["size"], picture.len());
    let failure = &first["failures"][0];
    assert_eq!((&failure["group"], &failure["attempts"]), (&json!("dogs.thumbnailer"), &json!(1)));
    assert!(failure["reason"].as_str().unwrap().contains("image is damaged"), "{failure}");
    let listed = home.run(&["dlq", "list"]).await.ends(0).stdout;
    assert_eq!(listed.lines().count(), 1, "{listed}");
    assert!(listed.starts_with(&stored) && listed.contains("dogs.thumbnailer"), "{listed}");

    // The next letter may be there before the command has ended: taking the first one back leaves it.
    assert_eq!(home.run(&["dlq", "replay", &stored]).await.ends(0).stdout, format!("{stored} replayed\n"));
    letter(&home, &stored, failure["at"].as_str().unwrap()).await;
    assert_eq!(home.run(&["dlq", "drop", &stored]).await.ends(0).stdout, format!("{stored} dropped\n"));
    no_letters(&home).await;
    for command in ["show", "replay", "drop"] {
        let ended = home.run(&["dlq", command, &stored]).await.ends(1);
        assert_eq!(ended.stderr, format!("error: no dead letter has the event id {stored}\n"));
    }

    // The next picture of the same dog is not held up by the one that failed.
    put_photo(&served, &id, images::jpeg("husky")).await;
    made_small(&served, &id).await;
    no_letters(&home).await;
    served.stop().await;
}

/// Leaves the first bytes of a stored picture, by which it is known for one, and what the store has written after it.
fn damage(file: &Path, length: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[8..length].fill(b'x');
    std::fs::write(file, bytes).unwrap();
}

/// The one file below `folder`.
fn file_below(folder: &Path) -> PathBuf {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let [file] = &files[..] else { panic!("one picture, not {files:?}") };
    file.clone()
}

pub async fn a_letter_is_dealt_with_once_its_cause_is_gone(broker: Backend) {
    let Some((home, _corner)) = home(broker).await else { return };
    let quiet = home.serve_without_relay().await;
    let id = quiet.dog("Togo").await;
    put_photo(&quiet, &id, images::jpeg("husky")).await;
    quiet.stop().await;
    // A folder in the place of the picture cannot be read, which may pass: the event is tried again.
    let picture = file_below(&home.path().join("data/objects"));
    let aside = home.path().join("aside");
    std::fs::rename(&picture, &aside).unwrap();
    std::fs::create_dir(&picture).unwrap();

    let served = home.serve().await;
    let event = listed(&home).await;
    let letter = letter(&home, &event, "").await;
    let failure = &letter["failures"][0];
    assert!(failure["attempts"].as_u64().unwrap() >= 2, "{letter}");
    assert!(failure["reason"].as_str().unwrap().contains("cannot be handled now"), "{letter}");
    assert_eq!((&letter["type"], &letter["subject"]), (&json!("dogs.image_stored"), &json!(id)));

    std::fs::remove_dir(&picture).unwrap();
    std::fs::rename(&aside, &picture).unwrap();
    home.run(&["dlq", "replay", &event]).await.ends(0);
    made_small(&served, &id).await;
    no_letters(&home).await;
    served.stop().await;
}
