//! Cases for [`Cache`].
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed case")]

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use kennel_core::Cache;

use super::eventually;

const LONG: Duration = Duration::from_mins(10);
const SHORT: Duration = Duration::from_millis(40);

/// Expands to one test per case. `$setup` is an `async fn() -> Option<Fresh<Arc<dyn Cache>>>` of a cache with room
/// for at least 8 MiB.
#[macro_export]
macro_rules! cache_conformance {
    ($setup:path) => {
        $crate::cache_conformance! { @cases $setup:
            misses_what_was_never_set,
            finds_what_was_set,
            tells_an_empty_value_from_none,
            keeps_every_byte,
            keeps_a_large_value,
            replaces_on_setting_again,
            forgets_what_is_removed,
            removing_the_unknown_is_fine,
            removing_leaves_the_others,
            takes_a_removed_key_again,
            forgets_when_the_time_is_up,
            keeps_until_the_time_is_up,
            keeps_nothing_for_no_time,
            no_time_replaces_an_older_value,
            setting_again_lengthens_a_life,
            setting_again_shortens_a_life,
            takes_the_longest_of_times,
            tells_similar_keys_apart,
            takes_long_keys,
            concurrent_writers_leave_one_whole_value,
            concurrent_callers_see_their_own_keys,
            answers_pings
        }
    };
    (@cases $setup:path: $($case:ident),+) => { $(
        #[tokio::test]
        async fn $case() {
            if let Some(fresh) = $setup().await {
                $crate::conformance::cache::$case(&*fresh.port).await;
            }
        }
    )+ };
}

async fn set(cache: &dyn Cache, key: &str, value: &'static str, ttl: Duration) {
    cache.set(key, Bytes::from_static(value.as_bytes()), ttl).await.unwrap();
}

async fn get(cache: &dyn Cache, key: &str) -> Option<String> {
    let value = cache.get(key).await.unwrap();
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

async fn until_gone(cache: &dyn Cache, key: &str) {
    eventually("the entry goes", async || get(cache, key).await.is_none().then_some(())).await;
}

pub async fn misses_what_was_never_set(cache: &dyn Cache) {
    assert_eq!(cache.get("never").await.unwrap(), None);
}

pub async fn finds_what_was_set(cache: &dyn Cache) {
    set(cache, "rex", "good dog", LONG).await;
    assert_eq!(get(cache, "rex").await.as_deref(), Some("good dog"));
    assert_eq!(get(cache, "rex").await.as_deref(), Some("good dog"), "reading does not use it up");
}

pub async fn tells_an_empty_value_from_none(cache: &dyn Cache) {
    set(cache, "empty", "", LONG).await;
    assert_eq!(cache.get("empty").await.unwrap(), Some(Bytes::new()));
}

pub async fn keeps_every_byte(cache: &dyn Cache) {
    let bytes: Bytes = (0..=u8::MAX).cycle().take(1_024).collect::<Vec<_>>().into();
    cache.set("bytes", bytes.clone(), LONG).await.unwrap();
    assert_eq!(cache.get("bytes").await.unwrap(), Some(bytes));
}

pub async fn keeps_a_large_value(cache: &dyn Cache) {
    let large = Bytes::from(vec![7; 1024 * 1024]);
    cache.set("large", large.clone(), LONG).await.unwrap();
    assert_eq!(cache.get("large").await.unwrap(), Some(large));
}

pub async fn replaces_on_setting_again(cache: &dyn Cache) {
    set(cache, "rex", "the first value", LONG).await;
    set(cache, "rex", "second", LONG).await;
    assert_eq!(get(cache, "rex").await.as_deref(), Some("second"));
}

pub async fn forgets_what_is_removed(cache: &dyn Cache) {
    set(cache, "rex", "good dog", LONG).await;
    cache.remove("rex").await.unwrap();
    assert_eq!(get(cache, "rex").await, None);
}

pub async fn removing_the_unknown_is_fine(cache: &dyn Cache) {
    cache.remove("never").await.unwrap();
    cache.remove("never").await.unwrap();
}

pub async fn removing_leaves_the_others(cache: &dyn Cache) {
    set(cache, "rex", "1", LONG).await;
    set(cache, "rex2", "2", LONG).await;
    cache.remove("rex").await.unwrap();
    assert_eq!(get(cache, "rex2").await.as_deref(), Some("2"));
}

pub async fn takes_a_removed_key_again(cache: &dyn Cache) {
    set(cache, "rex", "1", LONG).await;
    cache.remove("rex").await.unwrap();
    set(cache, "rex", "2", LONG).await;
    assert_eq!(get(cache, "rex").await.as_deref(), Some("2"));
}

pub async fn forgets_when_the_time_is_up(cache: &dyn Cache) {
    set(cache, "rex", "good dog", SHORT).await;
    until_gone(cache, "rex").await;
}

pub async fn keeps_until_the_time_is_up(cache: &dyn Cache) {
    set(cache, "stays", "1", LONG).await;
    set(cache, "goes", "2", SHORT).await;
    until_gone(cache, "goes").await;
    assert_eq!(get(cache, "stays").await.as_deref(), Some("1"));
}

pub async fn keeps_nothing_for_no_time(cache: &dyn Cache) {
    set(cache, "rex", "good dog", Duration::ZERO).await;
    assert_eq!(get(cache, "rex").await, None);
}

pub async fn no_time_replaces_an_older_value(cache: &dyn Cache) {
    set(cache, "rex", "old", LONG).await;
    set(cache, "rex", "new", Duration::ZERO).await;
    assert_eq!(get(cache, "rex").await, None);
}

pub async fn setting_again_lengthens_a_life(cache: &dyn Cache) {
    set(cache, "rex", "1", SHORT).await;
    set(cache, "rex", "2", LONG).await;
    // Its time ends after the one that `rex` had first.
    set(cache, "witness", "3", SHORT * 2).await;
    until_gone(cache, "witness").await;
    assert_eq!(get(cache, "rex").await.as_deref(), Some("2"));
}

pub async fn setting_again_shortens_a_life(cache: &dyn Cache) {
    set(cache, "rex", "1", LONG).await;
    set(cache, "rex", "2", SHORT).await;
    until_gone(cache, "rex").await;
}

pub async fn takes_the_longest_of_times(cache: &dyn Cache) {
    set(cache, "rex", "1", Duration::MAX).await;
    assert_eq!(get(cache, "rex").await.as_deref(), Some("1"));
}

pub async fn tells_similar_keys_apart(cache: &dyn Cache) {
    let keys = ["a", "A", "a ", " a", "a:", "a:b", "a/b", "a\nb", "\u{e4}", "a\u{308}", "*", "?"];
    for key in keys {
        cache.set(key, Bytes::from(key), LONG).await.unwrap();
    }
    for key in keys {
        assert_eq!(get(cache, key).await.as_deref(), Some(key));
    }
}

pub async fn takes_long_keys(cache: &dyn Cache) {
    let (one, other) = ("k".repeat(1_024) + "1", "k".repeat(1_024) + "2");
    set(cache, &one, "1", LONG).await;
    assert_eq!(get(cache, &other).await, None);
    assert_eq!(get(cache, &one).await.as_deref(), Some("1"));
}

pub async fn concurrent_writers_leave_one_whole_value(cache: &dyn Cache) {
    let value = |byte: u8| Bytes::from(vec![byte; 10_000]);
    join_all((0..32).map(|byte| cache.set("rex", value(byte), LONG))).await;
    let left = cache.get("rex").await.unwrap().unwrap();
    assert_eq!(left, value(left[0]));
}

pub async fn concurrent_callers_see_their_own_keys(cache: &dyn Cache) {
    let caller = async |number: usize| {
        let key = format!("dog-{number}");
        cache.set(&key, Bytes::from(key.clone()), LONG).await.unwrap();
        assert_eq!(get(cache, &key).await, Some(key));
    };
    join_all((0..100).map(caller)).await;
}

pub async fn answers_pings(cache: &dyn Cache) {
    cache.ping().await.unwrap();
}
