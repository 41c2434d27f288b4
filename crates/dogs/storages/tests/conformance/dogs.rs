//! Single dogs.

use std::sync::Arc;

use dogs_domain::ports::{Inserted, ThumbnailSet};
use dogs_domain::{BreedCount, Dog, DogId, Revision};
use dogs_storages::Stores;
use kennel_core::{RepoError, Timestamp};
use tokio::task::JoinSet;

use crate::fixtures::{all, at, dog, event, events, id, key, pending, photo, plain_dog, put, receipt, renamed};

const CONCURRENT_CALLS: usize = 12;

async fn is_read_as_written(stores: &Stores, dog: &Dog) {
    put(stores, dog).await;
    assert_eq!(stores.dogs.find(dog.id).await.unwrap().as_ref(), Some(dog));
    assert!(all(stores).await.contains(dog));
}

pub(crate) async fn returns_every_field_as_written(stores: &Stores) {
    let mut written = dog("hound-afghan");
    written.name = Some("Ŕéx 犬 🐕 O'Hara \"x\" \\ %_ ;--".to_owned());
    written.photo.as_mut().unwrap().thumbnail = Some("photos/rex_320.webp".parse().unwrap());
    written.photo.as_mut().unwrap().size = u64::from(u32::MAX) + 1;
    written.revision = Revision(u32::MAX);
    written.updated_at = at(1);
    is_read_as_written(stores, &written).await;
}

pub(crate) async fn returns_absent_fields_as_absent(stores: &Stores) {
    is_read_as_written(stores, &plain_dog("husky")).await;
    is_read_as_written(stores, &Dog { name: Some(String::new()), ..plain_dog("husky") }).await;
    is_read_as_written(stores, &Dog { photo: Some(photo("a")), ..plain_dog("husky") }).await;
}

pub(crate) async fn stores_far_times_to_the_millisecond(stores: &Stores) {
    for text in
        ["1970-01-01T00:00:00.000Z", "1969-12-31T23:59:59.999Z", "2026-02-28T23:59:59.001Z", "2199-12-31T23:59:59.999Z"]
    {
        let time: Timestamp = text.parse().unwrap();
        is_read_as_written(stores, &Dog { created_at: time, updated_at: time, ..dog("husky") }).await;
    }
}

pub(crate) async fn stores_long_and_unusual_text(stores: &Stores) {
    let url = format!("https://example.org/{}", "ä".repeat(1_000));
    is_read_as_written(stores, &Dog { name: Some("🐕".repeat(100)), image_url: Some(url), ..dog("husky") }).await;
    is_read_as_written(stores, &Dog { name: Some(" \t\r\n ".to_owned()), ..dog(&"a".repeat(64)) }).await;
}

pub(crate) async fn an_unknown_id_is_none(stores: &Stores) {
    put(stores, &dog("husky")).await;
    assert_eq!(stores.dogs.find(DogId(id())).await.unwrap(), None);
}

pub(crate) async fn rejects_an_existing_id(stores: &Stores) {
    if !stores.capabilities.unique_ids {
        return;
    }
    let first = dog("husky");
    put(stores, &first).await;
    let second = Dog { name: Some("Other".to_owned()), ..first.clone() };
    let again = stores.dogs.insert(&second, &[event()], None).await;
    assert!(matches!(again, Err(RepoError::Conflict)), "{again:?}");
    assert_eq!(stores.dogs.find(first.id).await.unwrap(), Some(first));
    assert_eq!(pending(stores).await, []);
}

pub(crate) async fn an_insert_commits_its_events_in_order(stores: &Stores) {
    let written_events = events::<3>();
    stores.dogs.insert(&dog("husky"), &written_events, None).await.unwrap();
    assert_eq!(pending(stores).await, written_events);
}

pub(crate) async fn a_failed_insert_leaves_neither_event_nor_key(stores: &Stores) {
    if !stores.capabilities.unique_ids {
        return;
    }
    let existing = dog("husky");
    put(stores, &existing).await;
    let failed = stores.dogs.insert(&existing, &[event()], Some(&key("k", 1))).await;
    assert!(matches!(failed, Err(RepoError::Conflict)), "{failed:?}");
    assert_eq!(pending(stores).await, []);
    let other = dog("husky");
    assert_eq!(stores.dogs.insert(&other, &[], Some(&key("k", 2))).await.unwrap(), Inserted::New);
}

pub(crate) async fn the_same_request_twice_is_replayed(stores: &Stores) {
    let (created, written_events) = (dog("husky"), [event()]);
    assert_eq!(stores.dogs.insert(&created, &written_events, Some(&key("k", 1))).await.unwrap(), Inserted::New);
    let changed = renamed(&created, "Later");
    assert!(stores.dogs.update(&changed, created.revision, &[]).await.unwrap());
    let again = stores.dogs.insert(&dog("husky"), &[event()], Some(&key("k", 1))).await.unwrap();
    assert_eq!(again, Inserted::Replayed(Box::new(created)));
    assert_eq!(all(stores).await, [changed]);
    assert_eq!(pending(stores).await, written_events);
}

pub(crate) async fn a_replay_outlives_its_dog(stores: &Stores) {
    let created = dog("husky");
    stores.dogs.insert(&created, &[], Some(&key("k", 1))).await.unwrap();
    assert!(stores.dogs.delete(created.id, created.revision, &[]).await.unwrap());
    let again = stores.dogs.insert(&dog("husky"), &[], Some(&key("k", 1))).await.unwrap();
    assert_eq!(again, Inserted::Replayed(Box::new(created)));
    assert_eq!(all(stores).await, []);
}

pub(crate) async fn a_different_request_with_a_key_is_rejected(stores: &Stores) {
    let created = dog("husky");
    stores.dogs.insert(&created, &[], Some(&key("k", 1))).await.unwrap();
    let again = stores.dogs.insert(&dog("pug"), &[event()], Some(&key("k", 2))).await.unwrap();
    assert_eq!(again, Inserted::KeyReused);
    assert_eq!(all(stores).await, [created]);
    assert_eq!(pending(stores).await, []);
    assert_eq!(stores.dogs.insert(&dog("pug"), &[], Some(&key("K", 2))).await.unwrap(), Inserted::New);
}

pub(crate) async fn of_concurrent_inserts_with_one_key_one_is_new(stores: &Stores) {
    let mut tasks = JoinSet::new();
    for _ in 0..CONCURRENT_CALLS {
        let dogs = Arc::clone(&stores.dogs);
        tasks.spawn(async move { dogs.insert(&dog("husky"), &[event()], Some(&key("k", 1))).await.unwrap() });
    }
    let results = tasks.join_all().await;
    let [saved] = &all(stores).await[..] else { panic!("not one dog") };
    let replayed = Inserted::Replayed(Box::new(saved.clone()));
    assert_eq!(results.iter().filter(|result| **result == Inserted::New).count(), 1);
    assert_eq!(results.iter().filter(|result| **result == replayed).count(), CONCURRENT_CALLS - 1);
    assert_eq!(pending(stores).await.len(), 1);
}

pub(crate) async fn of_concurrent_inserts_with_one_id_one_is_new(stores: &Stores) {
    if !stores.capabilities.unique_ids {
        return;
    }
    let same = dog("husky");
    let mut tasks = JoinSet::new();
    for _ in 0..CONCURRENT_CALLS {
        let (dogs, same) = (Arc::clone(&stores.dogs), same.clone());
        tasks.spawn(async move { dogs.insert(&same, &[event()], None).await });
    }
    let results = tasks.join_all().await;
    assert_eq!(results.iter().filter(|result| matches!(result, Ok(Inserted::New))).count(), 1);
    assert_eq!(
        results.iter().filter(|result| matches!(result, Err(RepoError::Conflict))).count(),
        CONCURRENT_CALLS - 1
    );
    assert_eq!(pending(stores).await.len(), 1);
}

pub(crate) async fn an_update_replaces_every_field(stores: &Stores) {
    let (before, bystander) = (dog("husky"), dog("husky"));
    put(stores, &before).await;
    put(stores, &bystander).await;
    let after = Dog {
        id: before.id,
        breed: "hound-afghan".parse().unwrap(),
        name: Some("Ada".to_owned()),
        image_url: Some("https://example.org/ada.png".to_owned()),
        photo: Some(dogs_domain::Photo { thumbnail: Some("a/b.webp".parse().unwrap()), ..photo("ada") }),
        revision: Revision(2),
        created_at: at(-5),
        updated_at: at(5),
    };
    let written_events = events::<2>();
    assert!(stores.dogs.update(&after, Revision(1), &written_events).await.unwrap());
    assert_eq!(stores.dogs.find(before.id).await.unwrap(), Some(after));
    assert_eq!(stores.dogs.find(bystander.id).await.unwrap(), Some(bystander));
    assert_eq!(pending(stores).await, written_events);
}

pub(crate) async fn an_update_can_clear_fields(stores: &Stores) {
    let before = dog("husky");
    put(stores, &before).await;
    let after = Dog { name: None, image_url: None, photo: None, revision: Revision(2), ..before };
    assert!(stores.dogs.update(&after, Revision(1), &[]).await.unwrap());
    assert_eq!(stores.dogs.find(after.id).await.unwrap(), Some(after));
}

pub(crate) async fn an_update_at_another_revision_stores_nothing(stores: &Stores) {
    let before = dog("husky");
    put(stores, &before).await;
    for expected in [Revision(0), Revision(2), Revision(u32::MAX)] {
        assert!(!stores.dogs.update(&renamed(&before, "Other"), expected, &[event()]).await.unwrap());
    }
    assert_eq!(stores.dogs.find(before.id).await.unwrap(), Some(before));
    assert_eq!(pending(stores).await, []);
}

pub(crate) async fn an_update_of_a_missing_dog_is_false(stores: &Stores) {
    let missing = dog("husky");
    assert!(!stores.dogs.update(&missing, missing.revision, &[event()]).await.unwrap());
    assert_eq!(stores.dogs.find(missing.id).await.unwrap(), None);
    assert_eq!(pending(stores).await, []);
}

pub(crate) async fn of_concurrent_updates_one_is_true(stores: &Stores) {
    let mut saved = dog("husky");
    put(stores, &saved).await;
    for round in 1..=3 {
        let mut tasks = JoinSet::new();
        for number in 0..CONCURRENT_CALLS {
            let (dogs, changed) = (Arc::clone(&stores.dogs), renamed(&saved, &format!("{number}")));
            let expected = saved.revision;
            tasks.spawn(async move {
                let won = dogs.update(&changed, expected, &[event()]).await.unwrap();
                won.then_some(changed)
            });
        }
        let winners: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1);
        saved = winners.into_iter().next().unwrap();
        assert_eq!(stores.dogs.find(saved.id).await.unwrap().as_ref(), Some(&saved));
        assert_eq!(pending(stores).await.len(), round);
    }
}

pub(crate) async fn an_update_retains_the_thumbnail_of_its_image(stores: &Stores) {
    let read = dog("husky");
    put(stores, &read).await;
    let (image, thumbnail) = (photo("rex").key, "photos/rex_320.webp".parse().unwrap());
    stores.dogs.set_thumbnail(read.id, &image, &thumbnail, &receipt("g"), &[]).await.unwrap();
    let changed = renamed(&read, "Ada");
    assert!(stores.dogs.update(&changed, read.revision, &[]).await.unwrap());
    let retained = stores.dogs.find(read.id).await.unwrap().unwrap();
    assert_eq!(retained.photo.unwrap().thumbnail, Some(thumbnail));

    let other = Dog { photo: Some(photo("other")), ..renamed(&changed, "Ada") };
    assert!(stores.dogs.update(&other, changed.revision, &[]).await.unwrap());
    assert_eq!(stores.dogs.find(read.id).await.unwrap(), Some(other));
}

pub(crate) async fn a_delete_removes_the_dog_and_appends_its_events(stores: &Stores) {
    let (deleted, other, written_events) = (dog("husky"), dog("husky"), events::<2>());
    put(stores, &deleted).await;
    put(stores, &other).await;
    assert!(stores.dogs.find(deleted.id).await.unwrap().is_some());
    assert!(stores.dogs.delete(deleted.id, deleted.revision, &written_events).await.unwrap());
    assert_eq!(stores.dogs.find(deleted.id).await.unwrap(), None);
    assert_eq!(all(stores).await, [other]);
    assert_eq!(pending(stores).await, written_events);
    assert!(!stores.dogs.delete(deleted.id, deleted.revision, &[event()]).await.unwrap());
    assert_eq!(pending(stores).await, written_events);
    put(stores, &deleted).await;
    assert_eq!(stores.dogs.find(deleted.id).await.unwrap(), Some(deleted));
}

pub(crate) async fn a_delete_at_another_revision_stores_nothing(stores: &Stores) {
    let other = dog("husky");
    put(stores, &other).await;
    assert!(!stores.dogs.delete(other.id, Revision(2), &[event()]).await.unwrap());
    assert_eq!(all(stores).await, [other]);
    assert_eq!(pending(stores).await, []);
}

pub(crate) async fn of_a_concurrent_update_and_delete_one_is_true(stores: &Stores) {
    for _ in 0..CONCURRENT_CALLS {
        let before = dog("husky");
        put(stores, &before).await;
        let changed = renamed(&before, "Ada");
        let (updated, deleted) = tokio::join!(
            stores.dogs.update(&changed, before.revision, &[]),
            stores.dogs.delete(before.id, before.revision, &[]),
        );
        let (updated, deleted) = (updated.unwrap(), deleted.unwrap());
        assert_ne!(updated, deleted);
        assert_eq!(stores.dogs.find(before.id).await.unwrap(), updated.then_some(changed));
    }
}

pub(crate) async fn a_thumbnail_does_not_change_the_revision(stores: &Stores) {
    let mut saved = dog("husky");
    put(stores, &saved).await;
    assert!(stores.dogs.find(saved.id).await.unwrap().is_some());
    let (thumbnail, written_events) = ("photos/rex_320.webp".parse().unwrap(), [event()]);
    let set = stores
        .dogs
        .set_thumbnail(saved.id, &photo("rex").key, &thumbnail, &receipt("g"), &written_events)
        .await
        .unwrap();
    assert_eq!(set, ThumbnailSet::Recorded);
    saved.photo.as_mut().unwrap().thumbnail = Some(thumbnail);
    assert_eq!(stores.dogs.find(saved.id).await.unwrap(), Some(saved));
    assert_eq!(pending(stores).await, written_events);
}

pub(crate) async fn a_thumbnail_is_recorded_once_for_a_receipt(stores: &Stores) {
    let saved = dog("husky");
    put(stores, &saved).await;
    let (image, once) = (photo("rex").key, receipt("g"));
    let (first, second) = ("photos/a.webp".parse().unwrap(), "photos/b.webp".parse().unwrap());
    stores.dogs.set_thumbnail(saved.id, &image, &first, &once, &[]).await.unwrap();
    assert!(stores.database.inbox.seen("g", once.event).await.unwrap());
    let again = stores.dogs.set_thumbnail(saved.id, &image, &second, &once, &[event()]).await.unwrap();
    assert_eq!(again, ThumbnailSet::Seen);
    let found = stores.dogs.find(saved.id).await.unwrap().unwrap();
    assert_eq!(found.photo.unwrap().thumbnail, Some(first));
    assert_eq!(pending(stores).await, []);
}

pub(crate) async fn of_concurrent_thumbnails_with_one_receipt_one_is_recorded(stores: &Stores) {
    let saved = dog("husky");
    put(stores, &saved).await;
    let once = receipt("g");
    let mut tasks = JoinSet::new();
    for _ in 0..CONCURRENT_CALLS {
        let (dogs, once, id) = (Arc::clone(&stores.dogs), once.clone(), saved.id);
        tasks.spawn(async move {
            let thumbnail = "photos/a.webp".parse().unwrap();
            dogs.set_thumbnail(id, &photo("rex").key, &thumbnail, &once, &[event()]).await.unwrap()
        });
    }
    let results = tasks.join_all().await;
    assert_eq!(results.iter().filter(|set| **set == ThumbnailSet::Recorded).count(), 1);
    assert_eq!(results.iter().filter(|set| **set == ThumbnailSet::Seen).count(), CONCURRENT_CALLS - 1);
    assert_eq!(pending(stores).await.len(), 1);
}

pub(crate) async fn a_thumbnail_of_another_image_is_outdated(stores: &Stores) {
    let saved = dog("husky");
    put(stores, &saved).await;
    is_outdated(stores, saved.id).await;
    assert_eq!(stores.dogs.find(saved.id).await.unwrap(), Some(saved));
}

pub(crate) async fn a_thumbnail_of_a_missing_dog_is_outdated(stores: &Stores) {
    is_outdated(stores, DogId(id())).await;
}

async fn is_outdated(stores: &Stores, id: DogId) {
    let (image, thumbnail, once) = (photo("other").key, "photos/o.webp".parse().unwrap(), receipt("g"));
    let set = stores.dogs.set_thumbnail(id, &image, &thumbnail, &once, &[event()]).await.unwrap();
    assert_eq!(set, ThumbnailSet::Outdated);
    assert!(stores.database.inbox.seen("g", once.event).await.unwrap());
    assert_eq!(pending(stores).await, []);
    let again = stores.dogs.set_thumbnail(id, &image, &thumbnail, &once, &[event()]).await.unwrap();
    assert_eq!(again, ThumbnailSet::Seen);
}

pub(crate) async fn counts_by_breed(stores: &Stores) {
    assert_eq!(stores.dogs.count_by_breed().await.unwrap(), []);
    let deleted = dog("akita");
    put(stores, &deleted).await;
    for breed in ["pug", "hound-afghan", "hound", "pug", "hound", "pug"] {
        put(stores, &dog(breed)).await;
    }
    stores.dogs.delete(deleted.id, deleted.revision, &[]).await.unwrap();
    let expected = [("hound", 2), ("hound-afghan", 1), ("pug", 3)];
    let expected = expected.map(|(breed, dogs)| BreedCount { breed: breed.parse().unwrap(), dogs });
    assert_eq!(stores.dogs.count_by_breed().await.unwrap(), expected);
}
