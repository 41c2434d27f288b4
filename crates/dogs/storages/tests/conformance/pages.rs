//! Listings.

use std::collections::HashSet;

use dogs_domain::ports::DogQuery;
use dogs_domain::{Dog, DogId};
use dogs_storages::Stores;
use kennel_core::Order;
use uuid::Uuid;

use crate::fixtures::{dog, ids, plain_dog, put, query};

/// A dog whose id has a known order.
fn numbered(number: u128, breed: &str) -> Dog {
    Dog { id: DogId(Uuid::from_u128(number << 64)), ..plain_dog(breed) }
}

pub(crate) async fn lists_by_id_both_ways(stores: &Stores) {
    let mut dogs: Vec<_> = [7, 1, 300, 0x80 << 48, 2].map(|number| numbered(number, "husky")).into();
    for dog in &dogs {
        put(stores, dog).await;
    }
    dogs.sort_by_key(|dog| dog.id);
    assert_eq!(stores.dogs.list(&query()).await.unwrap(), dogs);
    let after = |order, after| DogQuery { order, after: Some(after), ..query() };
    assert_eq!(stores.dogs.list(&after(Order::Ascending, dogs[1].id)).await.unwrap(), dogs[2..]);
    let below = stores.dogs.list(&after(Order::Descending, dogs[1].id)).await.unwrap();
    assert_eq!(below, dogs[..1]);
    dogs.reverse();
    let down = DogQuery { order: Order::Descending, ..query() };
    assert_eq!(stores.dogs.list(&down).await.unwrap(), dogs);
}

pub(crate) async fn lists_one_breed_exactly(stores: &Stores) {
    for (number, breed) in [(1, "hound"), (2, "hound-afghan"), (3, "hound"), (4, "houn"), (5, "hound")] {
        put(stores, &numbered(number, breed)).await;
    }
    let hounds = DogQuery { breed: Some("hound".parse().unwrap()), ..query() };
    let expected = |numbers: &[u128]| -> Vec<_> { numbers.iter().map(|n| DogId(Uuid::from_u128(n << 64))).collect() };
    assert_eq!(ids(&stores.dogs.list(&hounds).await.unwrap()), expected(&[1, 3, 5]));
    let middle = Some(DogId(Uuid::from_u128(3 << 64)));
    let after = DogQuery { after: middle, ..hounds.clone() };
    assert_eq!(ids(&stores.dogs.list(&after).await.unwrap()), expected(&[5]));
    let before = DogQuery { after: middle, order: Order::Descending, ..hounds.clone() };
    assert_eq!(ids(&stores.dogs.list(&before).await.unwrap()), expected(&[1]));
    let down = DogQuery { order: Order::Descending, ..hounds };
    assert_eq!(ids(&stores.dogs.list(&down).await.unwrap()), expected(&[5, 3, 1]));
    let pugs = DogQuery { breed: Some("pug".parse().unwrap()), ..query() };
    assert_eq!(stores.dogs.list(&pugs).await.unwrap(), []);
}

pub(crate) async fn a_page_has_at_most_the_limit(stores: &Stores) {
    for number in 1..=5 {
        put(stores, &numbered(number, "husky")).await;
    }
    for (limit, expected) in [(0, 0), (1, 1), (4, 4), (5, 5), (u32::MAX, 5)] {
        let page = stores.dogs.list(&DogQuery { limit, ..query() }).await.unwrap();
        assert_eq!(page.len(), expected);
    }
}

pub(crate) async fn an_empty_store_has_an_empty_page(stores: &Stores) {
    assert_eq!(stores.dogs.list(&query()).await.unwrap(), []);
    let after = DogQuery { after: Some(dog("husky").id), order: Order::Descending, ..query() };
    assert_eq!(stores.dogs.list(&after).await.unwrap(), []);
}

pub(crate) async fn pages_up_miss_and_repeat_nothing_among_inserts(stores: &Stores) {
    pages_miss_and_repeat_nothing(stores, Order::Ascending, None).await;
}

pub(crate) async fn pages_down_miss_and_repeat_nothing_among_inserts(stores: &Stores) {
    pages_miss_and_repeat_nothing(stores, Order::Descending, Some("husky")).await;
}

/// Lists the dogs page by page while others are inserted before, after and between them.
async fn pages_miss_and_repeat_nothing(stores: &Stores, order: Order, breed: Option<&str>) {
    let existing: Vec<_> = (1..=23).map(|number| numbered(number * 1_000, "husky")).collect();
    for dog in &existing {
        put(stores, dog).await;
    }
    let mut query = DogQuery { breed: breed.map(|breed| breed.parse().unwrap()), after: None, order, limit: 5 };
    let mut seen = Vec::new();
    for round in 1.. {
        let page = ids(&stores.dogs.list(&query).await.unwrap());
        let Some(last) = page.last() else { break };
        query.after = Some(*last);
        seen.extend(page);
        if round <= 10 {
            for base in [0, 11_000, 24_000] {
                put(stores, &numbered(base + round, "husky")).await;
            }
        }
    }
    let once: HashSet<_> = seen.iter().collect();
    assert_eq!(once.len(), seen.len(), "repeated");
    assert!(existing.iter().all(|dog| once.contains(&dog.id)), "missed");
    assert!(seen.is_sorted_by(|a, b| if order == Order::Ascending { a < b } else { a > b }));
}

pub(crate) async fn pages_continue_after_a_deleted_dog(stores: &Stores) {
    let dogs: Vec<_> = (1..=4).map(|number| numbered(number, "husky")).collect();
    for dog in &dogs {
        put(stores, dog).await;
    }
    stores.dogs.delete(dogs[1].id, dogs[1].revision, &[]).await.unwrap();
    let after = DogQuery { after: Some(dogs[1].id), ..query() };
    assert_eq!(stores.dogs.list(&after).await.unwrap(), dogs[2..]);
}

pub(crate) async fn a_dog_is_listed_under_its_current_breed(stores: &Stores) {
    let dogs: Vec<_> = (1..=3).map(|number| numbered(number, "husky")).collect();
    for dog in &dogs {
        put(stores, dog).await;
    }
    let moved = Dog { breed: "pug".parse().unwrap(), revision: dogs[1].revision.next(), ..dogs[1].clone() };
    assert!(stores.dogs.update(&moved, dogs[1].revision, &[]).await.unwrap());
    let of = |breed: &str| DogQuery { breed: Some(breed.parse().unwrap()), limit: 2, ..query() };
    assert_eq!(stores.dogs.list(&of("husky")).await.unwrap(), [dogs[0].clone(), dogs[2].clone()]);
    assert_eq!(stores.dogs.list(&of("pug")).await.unwrap(), std::slice::from_ref(&moved));
    let back = Dog { breed: dogs[1].breed.clone(), revision: moved.revision.next(), ..moved.clone() };
    assert!(stores.dogs.update(&back, moved.revision, &[]).await.unwrap());
    assert_eq!(stores.dogs.list(&of("husky")).await.unwrap(), [dogs[0].clone(), back]);
    assert_eq!(stores.dogs.list(&of("pug")).await.unwrap(), []);
}
