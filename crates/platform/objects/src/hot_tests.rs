use kennel_core::SystemClock;
use kennel_core::objects::PutOptions;
use prometheus::TextEncoder;
use tempfile::TempDir;

use super::*;
use crate::FsObjects;

struct Fixture {
    store: FsObjects,
    hot: HotObjects,
    registry: Registry,
    _home: TempDir,
}

impl Fixture {
    async fn new(capacity_bytes: u64) -> Self {
        let (home, registry) = (tempfile::tempdir().unwrap(), Registry::new());
        let store = FsObjects::open(home.path(), &SystemClock).await.unwrap();
        let hot = HotObjects::new(Arc::new(store.clone()), capacity_bytes, &registry).unwrap();
        Self { store, hot, registry, _home: home }
    }

    async fn put(&self, name: &str, bytes: Bytes) -> ObjectKey {
        let key: ObjectKey = name.parse().unwrap();
        let options = PutOptions { content_type: None, max_bytes: u64::MAX, skip_existing: false };
        self.store.put(&key, stream::iter([Ok(bytes)]).boxed(), &options).await.unwrap();
        key
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Option<Vec<u8>> {
        let chunks: Vec<_> = self.hot.get(key, range).await.unwrap()?.try_collect().await.unwrap();
        Some(chunks.concat())
    }

    /// The numbers of hits, misses and reads past the memory.
    fn outcomes(&self) -> [u64; 3] {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        ["hit", "miss", "bypass"].map(|outcome| {
            let start = format!(r#"objects_hot_reads_total{{outcome="{outcome}"}} "#);
            text.lines().find_map(|line| line.strip_prefix(&start)).unwrap().parse().unwrap()
        })
    }
}

/// Bytes without a period that a chunk could hide.
fn bytes(length: u32) -> Bytes {
    (0..length).map(|index| u8::try_from(index % 251).unwrap()).collect()
}

const MIB: u64 = 1024 * 1024;

#[tokio::test]
async fn an_object_is_read_from_the_store_once() {
    let fixture = Fixture::new(8 * MIB).await;
    let content = bytes(300_000);
    let key = fixture.put("a", content.clone()).await;
    for _ in 0..3 {
        assert_eq!(fixture.get(&key, None).await.unwrap(), content);
    }
    assert_eq!(fixture.outcomes(), [2, 1, 0]);
    // From memory: it is no longer in the store.
    assert!(fixture.store.delete(&key).await.unwrap());
    assert_eq!(fixture.get(&key, None).await.unwrap(), content);
}

#[tokio::test]
async fn ranges_are_those_of_the_store() {
    let fixture = Fixture::new(8 * MIB).await;
    let content = bytes(1_000);
    let key = fixture.put("a", content.clone()).await;
    let ranges = [
        0..1,
        999..1_000,
        10..20,
        0..1_000,
        0..5_000,
        1_000..1_001,
        5_000..6_000,
        20..20,
        Range { start: 20, end: 10 },
    ];
    let mut expected = Vec::new();
    for range in ranges.clone() {
        expected.push(fixture.get(&key, Some(range)).await.unwrap());
    }
    assert_eq!(fixture.outcomes(), [0, 0, ranges.len() as u64]);
    assert_eq!((&expected[0][..], &expected[1][..]), (&content[..1], &content[999..]));
    fixture.get(&key, None).await.unwrap();
    for (range, expected) in ranges.clone().into_iter().zip(expected) {
        assert_eq!(fixture.get(&key, Some(range)).await.unwrap(), expected);
    }
    assert_eq!(fixture.outcomes(), [ranges.len() as u64, 1, ranges.len() as u64]);
}

#[tokio::test]
async fn an_object_that_does_not_exist_is_not_retained() {
    let fixture = Fixture::new(8 * MIB).await;
    let key: ObjectKey = "a".parse().unwrap();
    assert_eq!(fixture.get(&key, None).await, None);
    fixture.put("a", bytes(10)).await;
    assert_eq!(fixture.get(&key, None).await.unwrap(), bytes(10));
}

#[tokio::test]
async fn an_empty_object_is_empty() {
    let fixture = Fixture::new(8 * MIB).await;
    let key = fixture.put("a", Bytes::new()).await;
    for _ in 0..2 {
        assert_eq!(fixture.get(&key, None).await.unwrap(), b"");
    }
}

#[tokio::test]
async fn large_objects_and_those_above_the_capacity_are_streamed() {
    for (capacity, length) in [(8 * MIB, 1_048_577), (1_000, 1_001), (0, 1)] {
        let fixture = Fixture::new(capacity).await;
        let content = bytes(length);
        let key = fixture.put("a", content.clone()).await;
        for _ in 0..2 {
            assert_eq!(fixture.get(&key, None).await.unwrap(), content);
        }
        assert_eq!(fixture.outcomes(), [0, 0, 2], "{capacity} {length}");
    }
}
