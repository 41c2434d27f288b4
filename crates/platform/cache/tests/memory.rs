//! Tests specific to the in-memory cache.

use std::time::Duration;

use bytes::Bytes;
use kennel_cache::memory::MemoryCache;
use kennel_core::Cache as _;

const LONG: Duration = Duration::from_mins(10);

#[tokio::test]
async fn stays_within_its_capacity() {
    let capacity = 64 * 1024;
    let cache = MemoryCache::new(capacity);
    for number in 0..1_000 {
        cache.set(&format!("dog-{number}"), Bytes::from(vec![0; 1_000]), LONG).await.unwrap();
    }
    let weighed = cache.weighed_bytes();
    assert!(weighed <= capacity, "{weighed}");
    assert!(weighed > capacity / 2, "the room is used: {weighed}");
}

#[tokio::test]
async fn keys_count_towards_the_capacity() {
    let cache = MemoryCache::new(1024 * 1024);
    cache.set(&"k".repeat(5_000), Bytes::new(), LONG).await.unwrap();
    assert!(cache.weighed_bytes() >= 5_000);
    cache.remove(&"k".repeat(5_000)).await.unwrap();
    assert_eq!(cache.weighed_bytes(), 0);
}

#[tokio::test]
async fn does_not_store_a_value_larger_than_its_capacity() {
    let cache = MemoryCache::new(1_000);
    cache.set("large", Bytes::from(vec![0; 10_000]), LONG).await.unwrap();
    assert!(cache.weighed_bytes() <= 1_000);
    assert_eq!(cache.get("large").await.unwrap(), None);
}
