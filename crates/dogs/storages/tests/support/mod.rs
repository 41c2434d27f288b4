//! A dog and an event, identified by their numbers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use dogs_domain::{Dog, DogId, Photo, Revision};
use kennel_core::{Event, Timestamp};
use uuid::Uuid;

/// The time of all test data.
pub(crate) fn at() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_007).unwrap()
}

/// A husky with an image.
pub(crate) fn dog(number: u128) -> Dog {
    let photo =
        Photo { key: "photos/a.jpg".parse().unwrap(), content_type: "image/jpeg".to_owned(), size: 1, thumbnail: None };
    Dog {
        id: DogId(Uuid::from_u128(number)),
        breed: "husky".parse().unwrap(),
        name: None,
        image_url: None,
        photo: Some(photo),
        revision: Revision::FIRST,
        created_at: at(),
        updated_at: at(),
    }
}

pub(crate) fn event(number: u128) -> Event {
    Event {
        id: Uuid::from_u128(number),
        name: "dogs.created".to_owned(),
        source: "/dogs".to_owned(),
        topic: "dogs.events".to_owned(),
        key: "k".to_owned(),
        time: at(),
        content_type: "application/json".to_owned(),
        data: "{}".into(),
        trace: None,
    }
}
