//! From the event to the objects, the rows and the answer, on SQLite, a folder and a provider on a loopback address.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod catalogue;
mod failures;
mod outcomes;
mod reconcile;
#[path = "../support/upstream.rs"]
mod upstream;

use std::path::Path;
use std::sync::Arc;

use gif_files::fetcher::HttpFetcher;
use gif_files::repository::{self, MIGRATIONS};
use gif_files::{Downloader, MediaConfig};
use gifs_contracts::{GifDiscovered, GifId};
use gifs_domain::media::{BlobRepository, MediaPorts, MediaService, PREFIX};
use kennel_client::{Client, ClientMetrics};
use kennel_core::objects::ObjectMeta;
use kennel_core::{Event, IdSource as _, ManualClock, ObjectKey, ObjectStore, Receipt, Timestamp, UuidV7};
use kennel_objects::FsObjects;
use kennel_outbox::{Handled, Handler as _, HandlerError};
use kennel_storage::{Database, StorageConfig};
use prometheus::Registry;
use tempfile::TempDir;

use upstream::Upstream;

/// The service without its process.
struct Bench {
    upstream: Upstream,
    objects: Arc<dyn ObjectStore>,
    blobs: Arc<dyn BlobRepository>,
    database: Database,
    media: MediaService,
    clock: Arc<ManualClock>,
    folder: TempDir,
}

impl Bench {
    async fn start() -> Self {
        Self::with(|objects| objects, MediaConfig { gif_download_allow_private: true, ..MediaConfig::default() }).await
    }

    async fn with(wrap: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>, config: MediaConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(now(folder.path())));
        let storage = StorageConfig::sqlite(folder.path().join("gif-files.db"));
        let database = kennel_storage::open(&storage, "gif-files", &MIGRATIONS, &Registry::new()).await.unwrap();
        database.migrator.up(Timestamp::from_millis(0).unwrap()).await.unwrap();
        let objects = FsObjects::open(&folder.path().join("objects"), &*clock).await.unwrap();
        let objects = wrap(Arc::new(objects));
        let blobs = repository::blobs(&database);
        let metrics = ClientMetrics::register(&Registry::new()).unwrap();
        let client = Client::new("gif_files", &config.client(), &metrics).unwrap();
        let media = MediaService::new(MediaPorts {
            blobs: Arc::clone(&blobs),
            objects: Arc::clone(&objects),
            fetcher: Arc::new(HttpFetcher::new(client, &config).unwrap()),
            clock: Arc::<ManualClock>::clone(&clock),
            ids: Arc::new(UuidV7),
            trace: || None,
        });
        Self { upstream: Upstream::start().await, objects, blobs, database, media, clock, folder }
    }

    /// Handles an event; the result is that of the handler.
    async fn deliver(&self, event: &Event) -> Result<Handled, HandlerError> {
        let receipt = Receipt { group: Downloader::GROUP.to_owned(), event: event.id, at: event.time };
        Downloader::new(self.media.clone(), 1).handle(event, &receipt).await
    }

    /// Handles the discovery of a new GIF at this URL, and returns the GIF.
    async fn discover(&self, url: &str) -> GifId {
        let gif = discovered(url);
        assert_eq!(self.deliver(&event(&gif)).await.unwrap(), Handled::Recorded);
        gif.id
    }

    /// The events that are not published yet.
    async fn answers(&self) -> Vec<Event> {
        self.database.outbox.pending(1_000).await.unwrap()
    }

    /// Cuts the file of an object off.
    fn truncate(&self, key: &ObjectKey, bytes: u64) {
        let path = self.folder.path().join("objects").join(key.as_str().replace('/', "@/"));
        std::fs::File::options().write(true).open(path).unwrap().set_len(bytes).unwrap();
    }

    async fn objects(&self) -> Vec<ObjectMeta> {
        self.objects.list(PREFIX, None, 10_000).await.unwrap()
    }

    /// The objects and the files of the rows are the same.
    async fn assert_consistent(&self) {
        let mut expected: Vec<_> = Vec::new();
        for blob in self.blobs.list(None, 10_000).await.unwrap() {
            expected.extend(blob.files.into_iter().map(|file| (file.key, file.size)));
        }
        expected.sort();
        expected.dedup();
        let found: Vec<_> = self.objects().await.into_iter().map(|object| (object.key, object.size)).collect();
        assert_eq!(found, expected);
    }
}

/// The time of the file system, which gives objects their time.
fn now(folder: &Path) -> Timestamp {
    let modified = std::fs::metadata(folder).unwrap().modified().unwrap();
    let millis = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    Timestamp::from_millis(i64::try_from(millis).unwrap()).unwrap()
}

fn discovered(url: &str) -> GifDiscovered {
    let id = GifId(UuidV7.next());
    GifDiscovered {
        id,
        provider: "local".to_owned(),
        provider_id: id.to_string(),
        url: url.to_owned(),
        width: None,
        height: None,
        size: None,
        discovered_at: Timestamp::from_millis(1_700_000_000_000).unwrap(),
    }
}

fn event(gif: &GifDiscovered) -> Event {
    Event::new(UuidV7.next(), "/gifs", gif.discovered_at, gif).unwrap()
}
