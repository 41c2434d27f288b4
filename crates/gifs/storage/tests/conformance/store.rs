//! Fresh stores and test data.

use std::any::Any;
use std::sync::Arc;

use gif_storage::repository::{self, MIGRATIONS};
use gifs_contracts::{GifDiscovered, GifId, GifSettled, Refusal};
use gifs_domain::catalogue::{
    Details, Discovery, Format, Gif, GifKey, GifQuery, GifRepository, GifState, MediaFacts, Provider, Rating,
    Rendition, RenditionKind, SOURCE, Settlement, StateName,
};
use kennel_core::{Event, EventType, IdSource as _, Receipt, Timestamp, TraceContext, UuidV7};
use kennel_storage::{Database, StorageConfig};
use prometheus::Registry;
use uuid::Uuid;

/// A migrated store, with the database or folder that is removed when the value is dropped.
pub(crate) struct Store {
    pub(crate) gifs: Arc<dyn GifRepository>,
    pub(crate) database: Database,
    _resource: Box<dyn Any + Send + Sync>,
}

impl Store {
    async fn open(config: &StorageConfig, resource: impl Any + Send + Sync) -> Self {
        let database = kennel_storage::open(config, "gif-storage", &MIGRATIONS, &Registry::new()).await.unwrap();
        database.migrator.up(at(0)).await.unwrap();
        Self { gifs: repository::gifs(&database), database, _resource: Box::new(resource) }
    }

    pub(crate) async fn close(&self) {
        self.database.close().await;
    }

    /// Adds GIFs without events.
    pub(crate) async fn insert(&self, gifs: &[&Gif]) {
        let found: Vec<_> = gifs.iter().map(|gif| Discovery { gif: (*gif).clone(), event: None }).collect();
        self.gifs.upsert(&found).await.unwrap();
    }

    /// Adds or changes one GIF, and returns it as stored.
    pub(crate) async fn upsert(&self, gif: &Gif, event: Option<&Event>) -> Gif {
        let found = Discovery { gif: gif.clone(), event: event.cloned() };
        let [stored] = &self.gifs.upsert(&[found]).await.unwrap()[..] else { panic!("not one gif") };
        stored.clone()
    }

    /// All GIFs, newest first.
    pub(crate) async fn all(&self) -> Vec<Gif> {
        self.gifs.list(&everything()).await.unwrap()
    }

    /// The ids of the GIFs with all of these words, newest first.
    pub(crate) async fn with_words(&self, words: &[&str]) -> Vec<GifId> {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        ids(&self.gifs.list(&GifQuery { words, ..everything() }).await.unwrap())
    }

    /// The GIF with this id, which exists.
    pub(crate) async fn get(&self, id: GifId) -> Gif {
        self.gifs.find(id).await.unwrap().unwrap()
    }

    /// The events that are not published yet, in the order of their commits.
    pub(crate) async fn pending(&self) -> Vec<Event> {
        self.database.outbox.pending(1_000).await.unwrap()
    }
}

#[cfg(feature = "sqlite")]
pub(crate) async fn sqlite() -> Option<Store> {
    let folder = tempfile::tempdir().unwrap();
    Some(Store::open(&StorageConfig::sqlite(folder.path().join("gifs.db")), folder).await)
}

#[cfg(feature = "postgres")]
pub(crate) async fn postgres() -> Option<Store> {
    let database = kennel_testkit::TestDatabase::postgres().await?;
    Some(Store::open(&StorageConfig::postgres(database.dsn()), database).await)
}

#[cfg(feature = "mysql")]
pub(crate) async fn mysql() -> Option<Store> {
    let database = kennel_testkit::TestDatabase::mysql().await?;
    Some(Store::open(&StorageConfig::mysql(database.dsn()), database).await)
}

#[cfg(feature = "clickhouse")]
pub(crate) async fn clickhouse() -> Option<Store> {
    let database = kennel_testkit::TestClickHouse::create()?;
    Some(Store::open(&StorageConfig::clickhouse(database.dsn()), database).await)
}

/// A point in time, `millis` after a fixed one.
pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_007 + millis).unwrap()
}

/// A query that every GIF matches.
pub(crate) const fn everything() -> GifQuery {
    GifQuery { words: Vec::new(), rating: Rating::R, state: None, after: None, limit: u32::MAX }
}

pub(crate) fn ids(gifs: &[Gif]) -> Vec<GifId> {
    gifs.iter().map(|gif| gif.id).collect()
}

pub(crate) fn key(provider: Provider, id: &str) -> GifKey {
    GifKey { provider, id: id.to_owned().try_into().unwrap() }
}

pub(crate) fn details(title: &str, tags: &[&str]) -> Details {
    let original = Rendition {
        kind: RenditionKind::Original,
        format: Format::Gif,
        url: "https://media.example/a.gif?x=%20&y=1".parse().unwrap(),
        width: Some(480),
        height: None,
        size: Some(u64::from(u32::MAX) + 1),
    };
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    let page_url = Some("https://example.org/gifs/a".parse().unwrap());
    Details {
        title: title.to_owned(),
        tags,
        page_url,
        attribution: "by someone".to_owned(),
        renditions: vec![original],
    }
}

/// A GIF in the state `known`, with this id at GIPHY.
pub(crate) fn gif(id: &str) -> Gif {
    Gif {
        id: GifId(UuidV7.next()),
        key: key(Provider::Giphy, id),
        rating: Rating::G,
        details: details(&format!("title of {id}"), &["tag"]),
        state: GifState::Known,
        created_at: at(0),
        updated_at: at(0),
    }
}

pub(crate) fn titled(id: &str, title: &str, tags: &[&str]) -> Gif {
    Gif { details: details(title, tags), ..gif(id) }
}

/// A GIF whose id has a known order.
pub(crate) fn numbered(number: u128) -> Gif {
    Gif { id: GifId(Uuid::from_u128(number << 64)), ..gif(&number.to_string()) }
}

/// The GIF in the state `fetching`.
pub(crate) fn fetching(gif: &Gif) -> Gif {
    Gif { state: GifState::Fetching, ..gif.clone() }
}

pub(crate) fn facts() -> MediaFacts {
    let (sha256, size) = ("0f".repeat(32).parse().unwrap(), u64::from(u32::MAX) + 7);
    MediaFacts { sha256, size, width: 480, height: 270, frames: 24, duration_ms: 2_400 }
}

/// One state of each name.
pub(crate) fn state(name: StateName) -> GifState {
    match name {
        StateName::Known => GifState::Known,
        StateName::Fetching => GifState::Fetching,
        StateName::Stored => GifState::Stored(facts()),
        StateName::Refused => GifState::Refused(Refusal::TooLarge),
    }
}

fn event<E: EventType>(data: &E) -> Event {
    let mut event = Event::new(UuidV7.next(), SOURCE, at(3), data).unwrap();
    event.trace = trace();
    event
}

/// The event that asks for the bytes of a GIF, in a trace.
pub(crate) fn discovered(gif: &Gif) -> Event {
    event(&GifDiscovered {
        id: gif.id,
        provider: gif.key.provider.name().to_owned(),
        provider_id: gif.key.id.as_str().to_owned(),
        url: gif.details.original().unwrap().url.to_string(),
        width: None,
        height: None,
        size: None,
        discovered_at: at(3),
    })
}

/// A new event of Media for a GIF, as the store gets it.
pub(crate) fn settlement(id: GifId, state: GifState) -> Settlement {
    let receipt = Receipt { group: "gif-storage.media".to_owned(), event: UuidV7.next(), at: at(9) };
    let event = event(&GifSettled { id, sha256: None, refusal: None, settled_at: at(9) });
    Settlement { id, state, at: at(9), receipt, event }
}

#[expect(clippy::unnecessary_wraps, reason = "the service calls it for the trace of a request, if there is one")]
pub(crate) fn trace() -> Option<TraceContext> {
    Some(TraceContext {
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        tracestate: Some("kennel=1".to_owned()),
    })
}
