//! The conformance suite of sources of live settings: the statements of [`LiveSource`], for each of them.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod file;
#[cfg(feature = "nats")]
mod nats;

use std::time::Duration;

use async_trait::async_trait;
use kennel_live::{LiveError, LiveSource, Values};
use tokio::time::timeout;

/// Longer than any source takes to notice a change.
const LIMIT: Duration = Duration::from_secs(20);
/// A text with everything that a value may contain.
const UNUSUAL: &str = "a = \"b\" # ключ\n🐕";

/// Where a source has its values.
#[async_trait]
trait Store: Sync {
    /// A source that reads them.
    fn source(&self) -> Box<dyn LiveSource>;

    /// Changes a value, or removes it.
    async fn set(&self, key: &str, value: Option<&str>);
}

async fn next(source: &mut Box<dyn LiveSource>) -> Values {
    timeout(LIMIT, source.next()).await.unwrap().unwrap()
}

fn values<const N: usize>(expected: [(&str, &str); N]) -> Values {
    expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// Reads until the values are these: a source may also return those in between.
async fn until(source: &mut Box<dyn LiveSource>, expected: Values) {
    let read = async { while source.next().await.unwrap() != expected {} };
    assert!(timeout(LIMIT, read).await.is_ok(), "the values are never {expected:?}");
}

async fn without_values_the_first_call_returns_none(store: &dyn Store) {
    let mut source = store.source();
    assert_eq!(next(&mut source).await, Values::new());
    store.set("shop/a", Some("1")).await;
    until(&mut source, values([("shop/a", "1")])).await;
}

async fn changes_follow_the_first_values(store: &dyn Store) {
    store.set("shop/transport/rest/web/timeout", Some("5s")).await;
    store.set("other/a", Some(UNUSUAL)).await;
    let mut source = store.source();
    let first = values([("other/a", UNUSUAL), ("shop/transport/rest/web/timeout", "5s")]);
    assert_eq!(next(&mut source).await, first);
    store.set("shop/transport/rest/web/timeout", Some("6s")).await;
    until(&mut source, values([("other/a", UNUSUAL), ("shop/transport/rest/web/timeout", "6s")])).await;
    store.set("other/a", None).await;
    until(&mut source, values([("shop/transport/rest/web/timeout", "6s")])).await;
    // A second reader has all values, too.
    assert_eq!(next(&mut store.source()).await, values([("shop/transport/rest/web/timeout", "6s")]));
}

async fn a_call_that_is_dropped_loses_no_change(store: &dyn Store) {
    let mut source = store.source();
    assert_eq!(next(&mut source).await, Values::new());
    for value in ["1", "2", "3"] {
        assert!(timeout(Duration::from_millis(50), source.next()).await.is_err());
        store.set("shop/a", Some(value)).await;
        until(&mut source, values([("shop/a", value)])).await;
    }
}

async fn many_changes_are_all_read(store: &dyn Store) {
    let mut source = store.source();
    next(&mut source).await;
    for number in 0..20 {
        store.set(&format!("shop/{number:02}"), Some("x")).await;
    }
    let all: Values = (0..20).map(|number| (format!("shop/{number:02}"), "x".to_owned())).collect();
    until(&mut source, all).await;
}

macro_rules! conformance {
    ($setup:path: $($case:ident)+) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let Some(store) = $setup().await else { return };
            crate::$case(&store).await;
        }
    )+ };
    ($setup:path) => {
        crate::conformance! { $setup:
            without_values_the_first_call_returns_none
            changes_follow_the_first_values
            a_call_that_is_dropped_loses_no_change
            many_changes_are_all_read
        }
    };
}
use conformance;
