use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use futures_util::{StreamExt as _, stream};
use gifs_contracts::{GifId, Sha256};
use gifs_domain::media::{
    Blob, BlobRepository, FetchError, Fetched, Fetcher, MediaPorts, NewFile, Outcome, Settling, Variant,
};
use kennel_core::objects::{ByteStream, ObjectError, ObjectMeta, PutOptions};
use kennel_core::{IdSource as _, ManualClock, ObjectKey, ObjectStore, RepoError, Timestamp, UuidV7};
use tokio::time::Instant;

use super::*;

/// Stores nothing.
struct NoBlobs;

#[async_trait]
impl BlobRepository for NoBlobs {
    async fn settle(&self, _: &Outcome, _: Option<&Blob>, _: &Event, _: &Receipt) -> Result<Settling, RepoError> {
        Ok(Settling::Recorded)
    }

    async fn answer(&self, _: &Event, _: &Receipt) -> Result<Settling, RepoError> {
        Ok(Settling::Recorded)
    }

    async fn outcome(&self, _: GifId) -> Result<Option<Outcome>, RepoError> {
        Ok(None)
    }

    async fn list_outcomes(&self, _: Option<GifId>, _: u32) -> Result<Vec<Outcome>, RepoError> {
        Ok(Vec::new())
    }

    async fn find(&self, _: &Sha256) -> Result<Option<Blob>, RepoError> {
        Ok(None)
    }

    async fn list(&self, _: Option<&Sha256>, _: u32) -> Result<Vec<Blob>, RepoError> {
        Ok(Vec::new())
    }

    async fn urls(&self, _: &Sha256, _: u32) -> Result<Vec<String>, RepoError> {
        Ok(Vec::new())
    }
}

/// An object store that does not respond while `hangs`, and allows nothing while `denies`.
#[derive(Default)]
struct Objects {
    hangs: AtomicBool,
    denies: AtomicBool,
}

impl Objects {
    async fn respond(&self) -> Result<(), ObjectError> {
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if self.denies.load(Ordering::Relaxed) { Err(ObjectError::Backend("403".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl ObjectStore for Objects {
    async fn put(&self, key: &ObjectKey, _: ByteStream, options: &PutOptions) -> Result<ObjectMeta, ObjectError> {
        self.respond().await?;
        let modified = Timestamp::from_millis(0).unwrap();
        Ok(ObjectMeta { key: key.clone(), size: options.max_bytes, content_type: "image/gif".to_owned(), modified })
    }

    async fn get(&self, _: &ObjectKey, _: Option<Range<u64>>) -> Result<Option<(ObjectMeta, ByteStream)>, ObjectError> {
        Ok(None)
    }

    async fn head(&self, _: &ObjectKey) -> Result<Option<ObjectMeta>, ObjectError> {
        Ok(None)
    }

    async fn delete(&self, _: &ObjectKey) -> Result<bool, ObjectError> {
        Ok(false)
    }

    async fn list(&self, _: &str, _: Option<&ObjectKey>, _: u32) -> Result<Vec<ObjectMeta>, ObjectError> {
        Ok(Vec::new())
    }

    async fn presign(&self, _: &ObjectKey, _: Duration) -> Result<Option<String>, ObjectError> {
        Ok(None)
    }

    async fn ping(&self) -> Result<(), ObjectError> {
        self.respond().await
    }
}

/// A provider that answers after a time.
#[derive(Default)]
struct Provider {
    seconds: AtomicU32,
    /// The disk for downloads is full.
    is_full: AtomicBool,
    downloads: AtomicU32,
}

#[async_trait]
impl Fetcher for Provider {
    async fn fetch(&self, _: &str) -> Result<Fetched, FetchError> {
        self.downloads.fetch_add(1, Ordering::Relaxed);
        if self.is_full.load(Ordering::Relaxed) {
            return Err(FetchError::Local("no space left on device".into()));
        }
        tokio::time::sleep(Duration::from_secs(self.seconds.load(Ordering::Relaxed).into())).await;
        let sha256: Sha256 = "ab".repeat(32).parse().unwrap();
        let file = NewFile {
            variant: Variant::Original,
            content_type: "image/gif",
            size: 3,
            width: 1,
            height: 1,
            sha256: sha256.clone(),
            body: Box::new(|| stream::iter([Ok("GIF".into())]).boxed()),
        };
        let (frames, plays, defects) = (1, 1, Vec::new());
        Ok(Fetched { files: vec![file], sha256, frames, duration_ms: 0, raw_duration_ms: 0, plays, defects })
    }
}

fn setup() -> (Downloader, Arc<Objects>, Arc<Provider>) {
    let (objects, provider) = (Arc::<Objects>::default(), Arc::<Provider>::default());
    let media = MediaService::new(MediaPorts {
        blobs: Arc::new(NoBlobs),
        objects: Arc::<Objects>::clone(&objects),
        fetcher: Arc::<Provider>::clone(&provider),
        clock: Arc::new(ManualClock::new(Timestamp::from_millis(0).unwrap())),
        ids: Arc::new(UuidV7),
        trace: || None,
    });
    (Downloader::new(media, 1), objects, provider)
}

async fn deliver(downloader: &Downloader) -> Result<Handled, HandlerError> {
    let at = Timestamp::from_millis(0).unwrap();
    let gif = GifDiscovered {
        id: GifId(UuidV7.next()),
        provider: "local".to_owned(),
        provider_id: "1".to_owned(),
        url: "http://provider.example/1.gif".to_owned(),
        width: None,
        height: None,
        size: None,
        discovered_at: at,
    };
    let event = Event::new(UuidV7.next(), "/gifs", at, &gif).unwrap();
    let receipt = Receipt { group: Downloader::GROUP.to_owned(), event: event.id, at };
    let limit = Duration::from_secs(30);
    timeout(limit, downloader.handle(&event, &receipt)).await.expect("it ends before the limit of handlers")
}

#[tokio::test(start_paused = true)]
async fn an_object_store_that_does_not_respond_is_an_outage() {
    let (downloader, objects, provider) = setup();
    assert_eq!(deliver(&downloader).await.unwrap(), Handled::Recorded);
    objects.hangs.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        let failed = deliver(&downloader).await;
        assert!(matches!(failed, Err(HandlerError::Unavailable(_))), "{failed:?}");
    }
    assert_eq!(provider.downloads.load(Ordering::Relaxed), 2, "during an outage, nothing is downloaded in vain");
    objects.hangs.store(false, Ordering::Relaxed);
    let started = Instant::now();
    assert_eq!(deliver(&downloader).await.unwrap(), Handled::Recorded);
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_denied_and_a_full_disk_concern_every_gif() {
    let (downloader, objects, provider) = setup();
    objects.denies.store(true, Ordering::Relaxed);
    let failed = deliver(&downloader).await;
    assert!(matches!(failed, Err(HandlerError::Unavailable(_))), "{failed:?}");
    objects.denies.store(false, Ordering::Relaxed);
    assert_eq!(deliver(&downloader).await.unwrap(), Handled::Recorded);
    provider.is_full.store(true, Ordering::Relaxed);
    let failed = deliver(&downloader).await;
    assert!(matches!(failed, Err(HandlerError::Unavailable(_))), "{failed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_too_slow_is_the_failure_of_one_gif() {
    let (downloader, _, provider) = setup();
    provider.seconds.store(40, Ordering::Relaxed);
    let failed = deliver(&downloader).await;
    assert!(matches!(failed, Err(HandlerError::Retry(_))), "{failed:?}");
}
