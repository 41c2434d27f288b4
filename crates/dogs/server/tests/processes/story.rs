//! The main scenario: an image is fetched, served, listed, announced by events and gets a thumbnail.

use image::{ImageFormat, guess_format, load_from_memory};
use kennel_proto::dogs::v1::{ListDogsRequest, WatchDogsRequest};

use crate::service_dir::{ServiceDir, eventually};
use crate::support::next_event;

#[tokio::test]
async fn a_fetched_dog_is_visible_everywhere() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let mut events = served.events(None).await;
    let mut watched = served.rpc().watch_dogs(WatchDogsRequest::default()).await.unwrap().into_inner();

    let fetched = served.get("/api/v1/dogs/hound/afghan/image").await.expect(200).json();
    let (id, link) = (fetched["id"].as_str().unwrap(), fetched["image_url"].as_str().unwrap());
    assert_eq!(fetched["breed"], "hound-afghan");

    let image = served.get(link).await.expect(200);
    let format = guess_format(&image.body).unwrap();
    assert_eq!(image.header("content-type"), format.to_mime_type());
    let image = load_from_memory(&image.body).unwrap();

    for name in ["dogs.created", "dogs.image_stored", "dogs.thumbnail_stored"] {
        let (event, message) = (events.expect(name).await, next_event(&mut watched).await.unwrap().unwrap());
        assert_eq!(event.data["subject"], id);
        assert_eq!((message.id, message.r#type, message.subject), (event.id, name.to_owned(), id.to_owned()));
    }

    let listed = served.get("/api/v1/dogs?breed=hound-afghan").await.expect(200).json();
    assert_eq!(
        (&listed["items"][0]["id"], &listed["items"][0]["created_at"]),
        (&fetched["id"], &fetched["created_at"])
    );
    assert_eq!(served.get("/api/v1/dogs?breed=husky").await.expect(200).json()["items"], serde_json::json!([]));
    let request = ListDogsRequest { breed: "hound-afghan".to_owned(), ..ListDogsRequest::default() };
    let dogs = served.rpc().list_dogs(request).await.unwrap().into_inner().dogs;
    assert_eq!(dogs.len(), 1);
    assert_eq!((dogs[0].id.as_str(), dogs[0].image_url.as_deref()), (id, Some(link)));
    let rows = directory.run(&["list", "--breed", "hound-afghan", "--json"]).await.ends(0).rows();
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["id"], &rows[0]["created_at"]), (&fetched["id"], &fetched["created_at"]));

    let thumbnail = eventually("the thumbnail exists", async || {
        let dog = served.get(&format!("/api/v1/dogs/{id}")).await.expect(200).json();
        dog["thumbnail_url"].as_str().map(str::to_owned)
    })
    .await;
    let thumbnail = served.get(&thumbnail).await.expect(200);
    assert_eq!(thumbnail.header("content-type"), "image/jpeg");
    assert_eq!(guess_format(&thumbnail.body).unwrap(), ImageFormat::Jpeg);
    let thumbnail = load_from_memory(&thumbnail.body).unwrap();
    assert!(image.width().max(image.height()) > 320, "the test needs an image that is larger than a thumbnail");
    assert_eq!(thumbnail.width().max(thumbnail.height()), 320);
    served.stop().await;
}

#[tokio::test]
async fn events_of_a_command_are_published_by_the_serving_process() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let mut events = served.events(None).await;
    let fetched = directory.run(&["fetch", "Husky"]).await.ends(0);
    let id = fetched.stdout.split_whitespace().next().unwrap();
    for name in ["dogs.created", "dogs.image_stored", "dogs.thumbnail_stored"] {
        assert_eq!(events.expect(name).await.data["subject"], id);
    }
    served.get(&format!("/api/v1/dogs/{id}/photo")).await.expect(200);
}
