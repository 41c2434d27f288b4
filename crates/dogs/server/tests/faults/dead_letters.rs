//! `dlq`: dead letters of images without a thumbnail are listed, shown, replayed and dropped. The service rejects such images,
//! so the tests damage stored ones.

use std::path::{Path, PathBuf};

use kennel_broker::Backend;
use kennel_testkit::upstream::images;
use serde_json::{Value, json};

use crate::broker::{ProxiedBroker, proxied_broker, with_variables};
use crate::service_dir::{RunningService, ServiceDir, eventually};
use crate::support::TestResponse;

/// A directory with this broker, which must be retained with it; `None`, with a message, when there is no server.
async fn set_up(broker: Backend) -> Option<(ServiceDir, Option<ProxiedBroker>)> {
    let proxied = proxied_broker(broker).await?;
    let variables = proxied.as_ref().map(ProxiedBroker::direct).unwrap_or_default();
    Some((with_variables(ServiceDir::new().set("CONSUMER_MAX_ATTEMPTS", "2"), variables), proxied))
}

async fn put_photo(served: &RunningService, id: &str, photo: impl Into<reqwest::Body>) {
    let request = served.request("PUT", &format!("/api/v1/dogs/{id}/photo")).header("content-type", "image/png");
    TestResponse::of(request.body(photo)).await.expect(200);
}

/// The dead letter of the event, once there is one that is newer than `than`.
async fn dead_letter(directory: &ServiceDir, event: &str, than: &str) -> Value {
    eventually("the event is a dead letter", async || {
        let ended = directory.run(&["dlq", "show", event]).await;
        let dead_letter: Value = serde_json::from_str(&ended.stdout).ok()?;
        (dead_letter["failures"][0]["at"].as_str()? > than).then_some(dead_letter)
    })
    .await
}

/// The event of the first dead letter in the list.
async fn first_event(directory: &ServiceDir) -> String {
    let listed = eventually("the event is a dead letter", async || {
        let listed = directory.run(&["dlq", "list"]).await.ends(0).stdout;
        (!listed.is_empty()).then_some(listed)
    })
    .await;
    listed.split("  ").next().unwrap().to_owned()
}

async fn wait_for_thumbnail(served: &RunningService, id: &str) {
    eventually("the thumbnail exists", async || {
        let dog = served.get(&format!("/api/v1/dogs/{id}")).await.expect(200).json();
        dog["thumbnail_url"].as_str().map(str::to_owned)
    })
    .await;
}

async fn assert_no_dead_letters(directory: &ServiceDir) {
    let ended = directory.run(&["dlq", "list"]).await.ends(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""), "there is no dead letter");
}

pub async fn a_dead_letter_is_listed_shown_replayed_and_dropped(broker: Backend) {
    let Some((directory, _proxied)) = set_up(broker).await else { return };
    let without_relay = directory.serve_without_relay().await;
    let id = without_relay.dog("Balto").await;
    let image = images::png("husky");
    put_photo(&without_relay, &id, image.clone()).await;
    without_relay.stop().await;
    damage(&file_below(&directory.path().join("data/objects")), image.len());
    assert_no_dead_letters(&directory).await;
    let served = directory.serve().await;
    let stored = first_event(&directory).await;

    let first = dead_letter(&directory, &stored, "").await;
    assert_eq!(
        (&first["id"], &first["type"], &first["subject"]),
        (&json!(stored), &json!("dogs.image_stored"), &json!(id))
    );
    assert_eq!(first["data"]["size"], image.len());
    let failure = &first["failures"][0];
    assert_eq!((&failure["group"], &failure["attempts"]), (&json!("dogs.thumbnailer"), &json!(1)));
    assert!(failure["reason"].as_str().unwrap().contains("image is damaged"), "{failure}");
    let listed = directory.run(&["dlq", "list"]).await.ends(0).stdout;
    assert_eq!(listed.lines().count(), 1, "{listed}");
    assert!(listed.starts_with(&stored) && listed.contains("dogs.thumbnailer"), "{listed}");

    // The next dead letter may exist before the command ends: a replay only deletes the first one.
    assert_eq!(directory.run(&["dlq", "replay", &stored]).await.ends(0).stdout, format!("{stored} replayed\n"));
    dead_letter(&directory, &stored, failure["at"].as_str().unwrap()).await;
    assert_eq!(directory.run(&["dlq", "drop", &stored]).await.ends(0).stdout, format!("{stored} dropped\n"));
    assert_no_dead_letters(&directory).await;
    for command in ["show", "replay", "drop"] {
        let ended = directory.run(&["dlq", command, &stored]).await.ends(1);
        assert_eq!(ended.stderr, format!("error: no dead letter has the event id {stored}\n"));
    }

    // The failed image does not delay the next image of the same dog.
    put_photo(&served, &id, images::jpeg("husky")).await;
    wait_for_thumbnail(&served, &id).await;
    assert_no_dead_letters(&directory).await;
    served.stop().await;
}

/// Damages a stored image, except for its first bytes, which identify the format, and for data that the store appended.
fn damage(file: &Path, length: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[8..length].fill(b'x');
    std::fs::write(file, bytes).unwrap();
}

/// The only file below `folder`.
fn file_below(folder: &Path) -> PathBuf {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let [file] = &files[..] else { panic!("one image, not {files:?}") };
    file.clone()
}

pub async fn a_dead_letter_is_handled_once_its_cause_is_fixed(broker: Backend) {
    let Some((directory, _proxied)) = set_up(broker).await else { return };
    let without_relay = directory.serve_without_relay().await;
    let id = without_relay.dog("Togo").await;
    put_photo(&without_relay, &id, images::jpeg("husky")).await;
    without_relay.stop().await;
    // Reading a directory instead of the image fails temporarily, so the event is retried.
    let image = file_below(&directory.path().join("data/objects"));
    let aside = directory.path().join("aside");
    std::fs::rename(&image, &aside).unwrap();
    std::fs::create_dir(&image).unwrap();

    let served = directory.serve().await;
    let event = first_event(&directory).await;
    let dead_letter = dead_letter(&directory, &event, "").await;
    let failure = &dead_letter["failures"][0];
    assert!(failure["attempts"].as_u64().unwrap() >= 2, "{dead_letter}");
    assert!(failure["reason"].as_str().unwrap().contains("cannot be handled now"), "{dead_letter}");
    assert_eq!((&dead_letter["type"], &dead_letter["subject"]), (&json!("dogs.image_stored"), &json!(id)));

    std::fs::remove_dir(&image).unwrap();
    std::fs::rename(&aside, &image).unwrap();
    directory.run(&["dlq", "replay", &event]).await.ends(0);
    wait_for_thumbnail(&served, &id).await;
    assert_no_dead_letters(&directory).await;
    served.stop().await;
}
