//! Cases for [`Cache`].
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the case")]

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use kennel_core::Cache;
use kennel_core::cache::{Lease, Lookup};

use super::eventually;

/// A TTL that does not expire during a case.
const LONG_TTL: Duration = Duration::from_mins(10);
/// A TTL that expires during a case.
const SHORT_TTL: Duration = Duration::from_millis(40);

/// Expands to one test per case. `$setup` is an `async fn() -> Option<Fixture<Arc<dyn Cache>>>` of a cache with room
/// for at least 8 MiB.
#[macro_export]
macro_rules! cache_conformance {
    ($setup:path) => {
        $crate::cache_conformance! { @cases $setup:
            misses_an_unknown_key,
            returns_a_stored_value,
            distinguishes_an_empty_value_from_none,
            stores_every_byte_value,
            stores_a_large_value,
            replaces_a_value,
            removes_a_value,
            removing_an_unknown_key_succeeds,
            removing_a_key_retains_the_others,
            stores_a_removed_key_again,
            expires_after_the_ttl,
            retains_until_the_ttl,
            a_zero_ttl_stores_nothing,
            a_zero_ttl_removes_an_older_value,
            setting_again_extends_the_ttl,
            setting_again_shortens_the_ttl,
            accepts_the_maximum_ttl,
            distinguishes_similar_keys,
            accepts_long_keys,
            concurrent_writers_leave_one_complete_value,
            concurrent_callers_see_their_own_keys,
            a_miss_is_of_this_process,
            a_released_lease_leaves_the_key_to_the_next_lookup,
            counters_start_at_zero_and_are_separate,
            counters_are_no_values,
            concurrent_increments_are_exact,
            a_counter_expires_after_its_creation,
            a_counter_out_of_range_is_an_error,
            a_lock_has_one_holder_until_it_expires,
            of_concurrent_callers_one_gets_a_lock,
            a_lock_is_ended_by_its_holder_only,
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

async fn wait_until_expired(cache: &dyn Cache, key: &str) {
    eventually("the entry expires", async || get(cache, key).await.is_none().then_some(())).await;
}

pub async fn misses_an_unknown_key(cache: &dyn Cache) {
    assert_eq!(cache.get("never").await.unwrap(), None);
}

pub async fn returns_a_stored_value(cache: &dyn Cache) {
    set(cache, "rex", "good dog", LONG_TTL).await;
    assert_eq!(get(cache, "rex").await.as_deref(), Some("good dog"));
    assert_eq!(get(cache, "rex").await.as_deref(), Some("good dog"), "reading does not remove it");
}

pub async fn distinguishes_an_empty_value_from_none(cache: &dyn Cache) {
    set(cache, "empty", "", LONG_TTL).await;
    assert_eq!(cache.get("empty").await.unwrap(), Some(Bytes::new()));
}

pub async fn stores_every_byte_value(cache: &dyn Cache) {
    let bytes: Bytes = (0..=u8::MAX).cycle().take(1_024).collect::<Vec<_>>().into();
    cache.set("bytes", bytes.clone(), LONG_TTL).await.unwrap();
    assert_eq!(cache.get("bytes").await.unwrap(), Some(bytes));
}

pub async fn stores_a_large_value(cache: &dyn Cache) {
    let large = Bytes::from(vec![7; 1024 * 1024]);
    cache.set("large", large.clone(), LONG_TTL).await.unwrap();
    assert_eq!(cache.get("large").await.unwrap(), Some(large));
}

pub async fn replaces_a_value(cache: &dyn Cache) {
    set(cache, "rex", "the first value", LONG_TTL).await;
    set(cache, "rex", "second", LONG_TTL).await;
    assert_eq!(get(cache, "rex").await.as_deref(), Some("second"));
}

pub async fn removes_a_value(cache: &dyn Cache) {
    set(cache, "rex", "good dog", LONG_TTL).await;
    cache.remove("rex").await.unwrap();
    assert_eq!(get(cache, "rex").await, None);
}

pub async fn removing_an_unknown_key_succeeds(cache: &dyn Cache) {
    cache.remove("never").await.unwrap();
    cache.remove("never").await.unwrap();
}

pub async fn removing_a_key_retains_the_others(cache: &dyn Cache) {
    set(cache, "rex", "1", LONG_TTL).await;
    set(cache, "rex2", "2", LONG_TTL).await;
    cache.remove("rex").await.unwrap();
    assert_eq!(get(cache, "rex2").await.as_deref(), Some("2"));
}

pub async fn stores_a_removed_key_again(cache: &dyn Cache) {
    set(cache, "rex", "1", LONG_TTL).await;
    cache.remove("rex").await.unwrap();
    set(cache, "rex", "2", LONG_TTL).await;
    assert_eq!(get(cache, "rex").await.as_deref(), Some("2"));
}

pub async fn expires_after_the_ttl(cache: &dyn Cache) {
    set(cache, "rex", "good dog", SHORT_TTL).await;
    wait_until_expired(cache, "rex").await;
}

pub async fn retains_until_the_ttl(cache: &dyn Cache) {
    set(cache, "retained", "1", LONG_TTL).await;
    set(cache, "expires", "2", SHORT_TTL).await;
    wait_until_expired(cache, "expires").await;
    assert_eq!(get(cache, "retained").await.as_deref(), Some("1"));
}

pub async fn a_zero_ttl_stores_nothing(cache: &dyn Cache) {
    set(cache, "rex", "good dog", Duration::ZERO).await;
    assert_eq!(get(cache, "rex").await, None);
}

pub async fn a_zero_ttl_removes_an_older_value(cache: &dyn Cache) {
    set(cache, "rex", "old", LONG_TTL).await;
    set(cache, "rex", "new", Duration::ZERO).await;
    assert_eq!(get(cache, "rex").await, None);
}

pub async fn setting_again_extends_the_ttl(cache: &dyn Cache) {
    set(cache, "rex", "1", SHORT_TTL).await;
    set(cache, "rex", "2", LONG_TTL).await;
    // It expires after the first TTL of `rex`.
    set(cache, "witness", "3", SHORT_TTL * 2).await;
    wait_until_expired(cache, "witness").await;
    assert_eq!(get(cache, "rex").await.as_deref(), Some("2"));
}

pub async fn setting_again_shortens_the_ttl(cache: &dyn Cache) {
    set(cache, "rex", "1", LONG_TTL).await;
    set(cache, "rex", "2", SHORT_TTL).await;
    wait_until_expired(cache, "rex").await;
}

pub async fn accepts_the_maximum_ttl(cache: &dyn Cache) {
    set(cache, "rex", "1", Duration::MAX).await;
    assert_eq!(get(cache, "rex").await.as_deref(), Some("1"));
}

pub async fn distinguishes_similar_keys(cache: &dyn Cache) {
    let keys = ["a", "A", "a ", " a", "a:", "a:b", "a/b", "a\nb", "\u{e4}", "a\u{308}", "*", "?"];
    for key in keys {
        cache.set(key, Bytes::from(key), LONG_TTL).await.unwrap();
    }
    for key in keys {
        assert_eq!(get(cache, key).await.as_deref(), Some(key));
    }
}

pub async fn accepts_long_keys(cache: &dyn Cache) {
    let (one, other) = ("k".repeat(1_024) + "1", "k".repeat(1_024) + "2");
    set(cache, &one, "1", LONG_TTL).await;
    assert_eq!(get(cache, &other).await, None);
    assert_eq!(get(cache, &one).await.as_deref(), Some("1"));
}

pub async fn concurrent_writers_leave_one_complete_value(cache: &dyn Cache) {
    let value = |byte: u8| Bytes::from(vec![byte; 10_000]);
    join_all((0..32).map(|byte| cache.set("rex", value(byte), LONG_TTL))).await;
    let left = cache.get("rex").await.unwrap().unwrap();
    assert_eq!(left, value(left[0]));
}

pub async fn concurrent_callers_see_their_own_keys(cache: &dyn Cache) {
    let caller = async |number: usize| {
        let key = format!("dog-{number}");
        cache.set(&key, Bytes::from(key.clone()), LONG_TTL).await.unwrap();
        assert_eq!(get(cache, &key).await, Some(key));
    };
    join_all((0..100).map(caller)).await;
}

/// The lease of a lookup that misses.
async fn lease(cache: &dyn Cache, key: &str) -> Lease {
    match cache.lookup(key).await.unwrap() {
        Lookup::Miss(lease) => lease,
        hit @ Lookup::Hit { .. } => panic!("{hit:?}"),
    }
}

pub async fn a_miss_is_of_this_process(cache: &dyn Cache) {
    for _ in 0..2 {
        assert!(!lease(cache, "rex").await.is_of_another_process());
    }
}

pub async fn a_released_lease_leaves_the_key_to_the_next_lookup(cache: &dyn Cache) {
    let failed = lease(cache, "rex").await;
    cache.release("rex", &failed).await.unwrap();
    let next = lease(cache, "rex").await;
    assert!(!next.is_of_another_process());
    // Twice, or after its end, it has no effect.
    cache.release("rex", &failed).await.unwrap();
    assert!(cache.fill("rex", Bytes::from_static(b"good dog"), LONG_TTL, &next).await.unwrap());
    cache.release("rex", &next).await.unwrap();
    assert_eq!(get(cache, "rex").await.as_deref(), Some("good dog"));
}

async fn count(cache: &dyn Cache, key: &str, by: i64) -> i64 {
    cache.increment(key, by, LONG_TTL).await.unwrap()
}

pub async fn counters_start_at_zero_and_are_separate(cache: &dyn Cache) {
    assert_eq!(count(cache, "a", 1).await, 1);
    assert_eq!(count(cache, "a", 41).await, 42);
    assert_eq!(count(cache, "a", -2).await, 40);
    assert_eq!(count(cache, "a", 0).await, 40);
    assert_eq!(count(cache, "b", -3).await, -3);
    assert_eq!(count(cache, "A", 1).await, 1);
    assert_eq!(count(cache, "large", 1 << 60).await, 1 << 60);
    assert_eq!(count(cache, "large", 1).await, (1 << 60) + 1);
}

pub async fn counters_are_no_values(cache: &dyn Cache) {
    set(cache, "rex", "good dog", LONG_TTL).await;
    assert_eq!(count(cache, "rex", 1).await, 1);
    assert_eq!(get(cache, "rex").await.as_deref(), Some("good dog"));
    cache.remove("rex").await.unwrap();
    assert_eq!(count(cache, "rex", 1).await, 2);
    assert_eq!(get(cache, "rex").await, None);
}

pub async fn concurrent_increments_are_exact(cache: &dyn Cache) {
    const CALLERS: i64 = 32;
    const CALLS: i64 = 20;
    let caller = async |_| {
        let mut seen = Vec::new();
        for _ in 0..CALLS {
            seen.push(count(cache, "shared", 1).await);
            tokio::task::yield_now().await;
        }
        seen
    };
    let mut seen = join_all((0..CALLERS).map(caller)).await.concat();
    seen.sort_unstable();
    assert_eq!(seen, (1..=CALLERS * CALLS).collect::<Vec<_>>(), "each caller sees a number of its own");
}

pub async fn a_counter_expires_after_its_creation(cache: &dyn Cache) {
    let brief = SHORT_TTL * 5;
    assert_eq!(cache.increment("brief", 1, brief).await.unwrap(), 1);
    assert_eq!(count(cache, "retained", 1).await, 1);
    // Further calls, also with a longer lifetime, do not extend it.
    let mut calls = 1;
    eventually("the counter starts again", async || {
        calls += 1;
        let value = cache.increment("brief", 1, LONG_TTL).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        (value == 1).then_some(())
    })
    .await;
    assert!(calls > 2, "not at once");
    assert_eq!(count(cache, "retained", 1).await, 2);
    cache.increment("shortest", 1, Duration::ZERO).await.unwrap();
    tokio::time::sleep(SHORT_TTL).await;
    assert_eq!(count(cache, "shortest", 1).await, 1);
    assert_eq!(cache.increment("longest", 1, Duration::MAX).await.unwrap(), 1);
    assert_eq!(cache.increment("longest", 1, Duration::MAX).await.unwrap(), 2);
}

pub async fn a_counter_out_of_range_is_an_error(cache: &dyn Cache) {
    assert_eq!(count(cache, "full", i64::MAX).await, i64::MAX);
    cache.increment("full", 1, LONG_TTL).await.unwrap_err();
    assert_eq!(count(cache, "full", -1).await, i64::MAX - 1, "the counter is unchanged");
}

pub async fn a_lock_has_one_holder_until_it_expires(cache: &dyn Cache) {
    let brief = SHORT_TTL * 5;
    assert!(cache.lock("a", "one", LONG_TTL).await.unwrap());
    assert!(!cache.lock("a", "other", LONG_TTL).await.unwrap());
    assert!(cache.lock("b", "other", brief).await.unwrap(), "another lock");
    assert!(cache.lock("a", "one", brief).await.unwrap(), "it is renewed, also for a shorter time");
    set(cache, "a", "a value", LONG_TTL).await;
    cache.remove("a").await.unwrap();
    let mut calls = 0;
    eventually("the lock expires", async || {
        calls += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
        cache.lock("a", "other", LONG_TTL).await.unwrap().then_some(())
    })
    .await;
    assert!(calls > 2, "not at once");
    assert!(!cache.lock("a", "one", brief).await.unwrap());
    assert!(cache.lock("longest", "one", Duration::MAX).await.unwrap());
    assert!(!cache.lock("longest", "other", Duration::MAX).await.unwrap());
}

pub async fn of_concurrent_callers_one_gets_a_lock(cache: &dyn Cache) {
    for round in 0..20 {
        let key = format!("shared-{round}");
        let locked = async |caller: usize| cache.lock(&key, &format!("caller {caller}"), LONG_TTL).await.unwrap();
        let locked = join_all((0..16).map(locked)).await;
        assert_eq!(locked.into_iter().filter(|locked| *locked).count(), 1);
    }
}

pub async fn a_lock_is_ended_by_its_holder_only(cache: &dyn Cache) {
    assert!(cache.lock("a", "one", LONG_TTL).await.unwrap());
    cache.unlock("a", "other").await.unwrap();
    assert!(!cache.lock("a", "other", LONG_TTL).await.unwrap());
    cache.unlock("a", "one").await.unwrap();
    cache.unlock("a", "one").await.unwrap();
    assert!(cache.lock("a", "other", LONG_TTL).await.unwrap());
    cache.unlock("unknown", "one").await.unwrap();
}

pub async fn answers_pings(cache: &dyn Cache) {
    cache.ping().await.unwrap();
}
