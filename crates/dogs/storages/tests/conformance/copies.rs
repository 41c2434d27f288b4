//! A store as the target of a copy.

use dogs_domain::replica::{Checkpoint, CopyStep};
use dogs_domain::{Dog, DogId, Revision};
use dogs_storages::Stores;
use kennel_core::outbox::History;
use kennel_core::{Order, Timestamp};

use crate::fixtures::{all, at, dog, id, ids, pending, plain_dog, put, query, renamed};

fn checkpoint(after: Option<DogId>) -> Checkpoint {
    Checkpoint { event: Some(id()), scanning: true, after }
}

fn step(dogs: &[Dog], removed: &[DogId]) -> CopyStep {
    let checkpoint = checkpoint(dogs.last().map(|dog| dog.id));
    CopyStep { source: "other".to_owned(), removed: removed.to_vec(), dogs: dogs.to_vec(), checkpoint }
}

async fn apply(stores: &Stores, dogs: &[Dog], removed: &[DogId]) {
    stores.replica.apply(&step(dogs, removed)).await.unwrap();
}

/// Dogs with unusual values in every field.
fn unusual_dogs() -> Vec<Dog> {
    let mut small = dog("hound-afghan");
    small.photo.as_mut().unwrap().thumbnail = Some("photos/t.webp".parse().unwrap());
    let far = Timestamp::from_millis(-62_135_596_800_000).unwrap();
    let mut dogs = vec![
        small,
        Dog { name: Some("犬 🐕 ' \" \\ \n\t".to_owned()), ..dog("pug") },
        Dog { name: Some(String::new()), image_url: Some("u".repeat(2_048)), ..plain_dog("husky") },
        Dog { created_at: far, updated_at: at(7), ..plain_dog("husky") },
        Dog { revision: Revision(u32::MAX), ..plain_dog("boxer") },
    ];
    dogs.sort_by_key(|dog| dog.id);
    dogs
}

pub(crate) async fn copied_dogs_are_read_as_written(stores: &Stores) {
    let dogs = unusual_dogs();
    apply(stores, &dogs, &[]).await;
    assert_eq!(all(stores).await, dogs);
    for dog in &dogs {
        assert_eq!(stores.dogs.find(dog.id).await.unwrap().as_ref(), Some(dog));
    }
}

pub(crate) async fn a_step_applied_again_changes_nothing(stores: &Stores) {
    let (dogs, removed) = (unusual_dogs(), plain_dog("husky"));
    put(stores, &removed).await;
    let step = step(&dogs, &[removed.id]);
    for _ in 0..3 {
        stores.replica.apply(&step).await.unwrap();
        assert_eq!(all(stores).await, dogs);
        assert_eq!(stores.replica.checkpoint("other").await.unwrap(), Some(step.checkpoint.clone()));
    }
}

pub(crate) async fn a_newer_revision_replaces_every_field(stores: &Stores) {
    let before = dog("husky");
    let after = Dog { id: before.id, revision: Revision(7), updated_at: at(9), ..plain_dog("pug") };
    apply(stores, std::slice::from_ref(&before), &[]).await;
    apply(stores, std::slice::from_ref(&after), &[]).await;
    assert_eq!(all(stores).await, [after]);
}

pub(crate) async fn an_older_revision_does_not_replace_a_newer(stores: &Stores) {
    let (old, other) = (dog("husky"), plain_dog("pug"));
    let new = renamed(&old, "Balto");
    apply(stores, std::slice::from_ref(&new), &[]).await;
    let mut given = [old, other.clone()];
    given.sort_by_key(|dog| dog.id);
    apply(stores, &given, &[]).await;
    assert_eq!(stores.dogs.find(new.id).await.unwrap(), Some(new));
    assert_eq!(stores.dogs.find(other.id).await.unwrap(), Some(other), "the rest of the step is stored");
}

pub(crate) async fn an_equal_revision_is_replaced(stores: &Stores) {
    let without = dog("husky");
    let mut with = without.clone();
    with.photo.as_mut().unwrap().thumbnail = Some("photos/t.webp".parse().unwrap());
    for state in [&without, &with, &without] {
        apply(stores, std::slice::from_ref(state), &[]).await;
        assert_eq!(all(stores).await, std::slice::from_ref(state));
    }
}

pub(crate) async fn a_removed_dog_does_not_exist(stores: &Stores) {
    let (retained, removed) = (plain_dog("husky"), Dog { revision: Revision(9), ..dog("husky") });
    apply(stores, &[retained.clone(), removed.clone()], &[]).await;
    apply(stores, &[], &[removed.id, DogId(id())]).await;
    assert_eq!(all(stores).await, [retained]);
    assert_eq!(stores.dogs.find(removed.id).await.unwrap(), None);
    let counts = stores.dogs.count_by_breed().await.unwrap();
    assert_eq!(counts.iter().map(|count| count.dogs).sum::<u64>(), 1);
}

pub(crate) async fn a_removed_dog_comes_back_in_the_same_step(stores: &Stores) {
    let first = Dog { revision: Revision(9), ..dog("husky") };
    let second = Dog { id: first.id, ..plain_dog("pug") };
    apply(stores, &[first], &[]).await;
    apply(stores, std::slice::from_ref(&second), &[second.id]).await;
    assert_eq!(all(stores).await, std::slice::from_ref(&second));
    let breed = |name: &str| dogs_domain::ports::DogQuery { breed: Some(name.parse().unwrap()), ..query() };
    assert_eq!(stores.dogs.list(&breed("husky")).await.unwrap(), []);
    assert_eq!(stores.dogs.list(&breed("pug")).await.unwrap(), [second]);
}

pub(crate) async fn copied_dogs_are_listed_under_their_current_breed(stores: &Stores) {
    let dogs: Vec<_> = (0..3).map(|_| plain_dog("husky")).collect();
    apply(stores, &dogs, &[]).await;
    let changed = Dog { breed: "pug".parse().unwrap(), ..renamed(&dogs[1], "Otis") };
    apply(stores, std::slice::from_ref(&changed), &[]).await;
    for (breed, expected) in [("husky", vec![dogs[0].clone(), dogs[2].clone()]), ("pug", vec![changed])] {
        for order in [Order::Ascending, Order::Descending] {
            let query = dogs_domain::ports::DogQuery { breed: Some(breed.parse().unwrap()), order, ..query() };
            let mut found = stores.dogs.list(&query).await.unwrap();
            found.sort_by_key(|dog| dog.id);
            assert_eq!(found, expected);
        }
    }
}

pub(crate) async fn copied_dogs_can_be_changed_like_others(stores: &Stores) {
    let copied = Dog { revision: Revision(4), ..dog("husky") };
    apply(stores, std::slice::from_ref(&copied), &[]).await;
    let changed = renamed(&copied, "Balto");
    assert!(!stores.dogs.update(&changed, Revision(3), &[]).await.unwrap());
    assert!(stores.dogs.update(&changed, Revision(4), &[]).await.unwrap());
    assert!(stores.dogs.delete(copied.id, Revision(5), &[]).await.unwrap());
    assert_eq!(all(stores).await, []);
}

pub(crate) async fn a_copy_appends_no_event(stores: &Stores) {
    let dogs = unusual_dogs();
    apply(stores, &dogs, &[]).await;
    apply(stores, &[], &ids(&dogs)).await;
    assert_eq!(pending(stores).await, []);
    assert_eq!(stores.database.outbox.history(None, 10).await.unwrap(), History::Events(Vec::new()));
    assert_eq!(stores.database.outbox.backlog().await.unwrap().pending, 0);
}

pub(crate) async fn steps_of_any_size(stores: &Stores) {
    let mut expected = Vec::new();
    for size in [0, 1, 15, 17, 300, 8_001] {
        let dogs: Vec<_> = (0..size).map(|_| plain_dog("husky")).collect();
        apply(stores, &dogs, &[]).await;
        expected.extend(dogs);
    }
    assert_eq!(all(stores).await, expected);
    apply(stores, &[], &ids(&expected)[1..]).await;
    assert_eq!(all(stores).await, expected[..1]);
}

pub(crate) async fn finds_all_existing_dogs(stores: &Stores) {
    let dogs: Vec<_> = (0..50).map(|_| dog("husky")).collect();
    apply(stores, &dogs, &[]).await;
    let requested: Vec<_> = ids(&dogs).into_iter().step_by(2).chain([DogId(id())]).collect();
    let mut found = stores.replica.find_all(&requested).await.unwrap();
    found.sort_by_key(|dog| dog.id);
    assert_eq!(found, dogs.into_iter().step_by(2).collect::<Vec<_>>());
    assert_eq!(stores.replica.find_all(&[]).await.unwrap(), []);
}

pub(crate) async fn a_checkpoint_is_stored_per_source(stores: &Stores) {
    assert_eq!(stores.replica.checkpoint("other").await.unwrap(), None);
    let one = step(&[plain_dog("husky")], &[]);
    let end = Checkpoint { event: None, scanning: false, after: None };
    let two = CopyStep { source: "another".to_owned(), checkpoint: end, ..step(&[], &[]) };
    for step in [&one, &two] {
        stores.replica.apply(step).await.unwrap();
    }
    for step in [one, two] {
        assert_eq!(stores.replica.checkpoint(&step.source).await.unwrap(), Some(step.checkpoint));
    }
}
