//! Interrupted work, and an object store that fails.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gif_files::MediaConfig;
use gifs_domain::media::Verdict;
use kennel_core::objects::{ByteStream, ObjectError, ObjectMeta, PutOptions};
use kennel_core::{ObjectKey, ObjectStore};
use kennel_outbox::{Handled, HandlerError};
use tokio::time::timeout;

use crate::{Bench, discovered, event};

/// Of every five puts, one fails before it stores the object, and one loses its answer after that.
struct Unreliable(Arc<dyn ObjectStore>, AtomicU32);

#[async_trait]
impl ObjectStore for Unreliable {
    async fn put(&self, key: &ObjectKey, body: ByteStream, options: &PutOptions) -> Result<ObjectMeta, ObjectError> {
        let unavailable = || Err(ObjectError::Unavailable("injected".into()));
        match self.1.fetch_add(1, Ordering::Relaxed) % 5 {
            0 => unavailable(),
            2 => self.0.put(key, body, options).await.and_then(|_| unavailable()),
            _ => self.0.put(key, body, options).await,
        }
    }

    async fn get(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(ObjectMeta, ByteStream)>, ObjectError> {
        self.0.get(key, range).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, ObjectError> {
        self.0.head(key).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<bool, ObjectError> {
        self.0.delete(key).await
    }

    async fn list(&self, prefix: &str, after: Option<&ObjectKey>, limit: u32) -> Result<Vec<ObjectMeta>, ObjectError> {
        self.0.list(prefix, after, limit).await
    }

    async fn presign(&self, key: &ObjectKey, ttl: Duration) -> Result<Option<String>, ObjectError> {
        self.0.presign(key, ttl).await
    }

    async fn ping(&self) -> Result<(), ObjectError> {
        self.0.ping().await
    }
}

#[tokio::test]
async fn an_object_store_that_fails_or_loses_answers_is_retried() {
    let config = MediaConfig { gif_download_allow_private: true, ..MediaConfig::default() };
    let bench = Bench::with(|objects| Arc::new(Unreliable(objects, AtomicU32::new(0))), config).await;
    for number in 0..10 {
        let gif = discovered(&bench.upstream.animation(number));
        let event = event(&gif);
        let mut attempts = 0;
        while let Err(error) = bench.deliver(&event).await {
            assert!(matches!(error, HandlerError::Unavailable(_)), "{error:?}");
            attempts += 1;
            assert!(attempts < 10, "{error:?}");
        }
        let outcome = bench.blobs.outcome(gif.id).await.unwrap().unwrap();
        assert!(matches!(outcome.verdict, Verdict::Stored(_)), "{outcome:?}");
    }
    assert_eq!(bench.answers().await.len(), 10);
    bench.assert_consistent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_is_interrupted_anywhere_is_done_once() {
    let bench = Bench::start().await;
    for number in 0..20_u16 {
        let gif = discovered(&bench.upstream.animation(number));
        let event = event(&gif);
        // Each attempt gets a little further.
        for millis in 0.. {
            let attempt = timeout(Duration::from_micros(millis * 500), bench.deliver(&event)).await;
            if let Ok(handled) = attempt {
                assert_eq!(handled.unwrap(), Handled::Recorded);
                break;
            }
        }
    }
    assert_eq!(bench.blobs.list(None, 100).await.unwrap().len(), 20);
    let answers = bench.answers().await;
    assert_eq!(answers.len(), 20, "one answer for each gif");
    bench.assert_consistent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_members_with_the_same_event_answer_it_once() {
    let bench = Bench::start().await;
    for number in 0..10 {
        let event = event(&discovered(&bench.upstream.animation(number)));
        let (one, two) = tokio::join!(bench.deliver(&event), bench.deliver(&event));
        assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
    }
    assert_eq!(bench.answers().await.len(), 10);
    bench.assert_consistent().await;
}
