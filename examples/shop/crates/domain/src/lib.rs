//! Items: the model, the event, the port of their store and the service.
//!
//! Nothing here depends on a database, a broker or a protocol.

pub mod mailer;
pub mod order_events;
pub mod orders;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use kennel_core::codec::Json;
use kennel_core::{
    Clock, CodecError, Cursor, ErrorKind, Event, EventType, IdSource, Page, PageSize, RepoError, ServiceError,
    Timestamp, TraceContext,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The topic of all events of items.
pub const TOPIC: &str = "shop.events";
/// The CloudEvents `source` of these events.
pub const SOURCE: &str = "/shop";

/// An item's id: UUID version 7, so that ids sort by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ItemId(pub Uuid);

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ItemId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// The text of an item: 1 to 2000 characters, not blank, without control characters except newline and tab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct ItemText(String);

/// The text is not allowed in an item.
#[derive(Debug, thiserror::Error)]
#[error("must be 1 to {} printable characters", ItemText::MAX_CHARS)]
pub struct InvalidItemText;

impl ItemText {
    /// Maximum length, in characters.
    pub const MAX_CHARS: usize = 2_000;

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ItemText {
    type Error = InvalidItemText;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_printable = |char: char| !char.is_control() || matches!(char, '\n' | '\t');
        let is_valid =
            !text.trim().is_empty() && text.chars().count() <= Self::MAX_CHARS && text.chars().all(is_printable);
        if is_valid { Ok(Self(text)) } else { Err(InvalidItemText) }
    }
}

impl From<ItemText> for String {
    fn from(text: ItemText) -> Self {
        text.0
    }
}

/// An item. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its id.
    pub id: ItemId,
    /// Its text.
    pub text: ItemText,
    /// When it was created.
    pub created_at: Timestamp,
}

/// An item was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ItemCreated {
    /// The item.
    pub id: ItemId,
    /// Its text.
    pub text: ItemText,
    /// When it was created.
    pub created_at: Timestamp,
}

impl EventType for ItemCreated {
    const NAME: &'static str = "items.created";
    const TOPIC: &'static str = TOPIC;

    type Codec = Json;

    fn key(&self) -> String {
        self.id.to_string()
    }
}

/// Stores items. The caller supplies ids, times and the events of a change.
///
/// - Every store passes the same conformance suite, which tests these statements.
/// - When a writing method returns successfully, its change is durable, with its events; after a crash, either all of
///   it is stored or nothing.
/// - An item is read as it was written. A read after a successful write of the same process returns that write.
/// - Errors: [`RepoError::Unavailable`] when a retry can succeed, [`RepoError::Corrupt`] when stored data cannot be
///   read, [`RepoError::Backend`] otherwise. After an error of a writing method other than [`RepoError::Conflict`], it
///   is unknown whether the change was committed.
#[async_trait]
pub trait ItemRepository: Send + Sync + 'static {
    /// Stores a new item, and appends `events` to the outbox in this order.
    ///
    /// Fails with [`RepoError::Conflict`] on an existing id, and then stores nothing. Of several concurrent calls with
    /// one id, exactly one succeeds.
    async fn insert(&self, item: &Item, events: &[Event]) -> Result<(), RepoError>;

    /// The item with this id; `None` when there is none.
    async fn find(&self, id: ItemId) -> Result<Option<Item>, RepoError>;

    /// Up to `limit` items, newest first, only those with ids below `after` if it is given. No item needs to have the
    /// id `after`.
    ///
    /// Pages that continue after the last id of the previous page return every item exactly once, as long as it exists
    /// during the whole iteration, also while others are inserted or deleted.
    async fn list(&self, after: Option<ItemId>, limit: u32) -> Result<Vec<Item>, RepoError>;

    /// Deletes the item. Returns whether it existed; of several concurrent calls, exactly one returns true.
    async fn delete(&self, id: ItemId) -> Result<bool, RepoError>;
}

/// Why a call to [`ItemService`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// No item has this id.
    #[error("no item has the id {0}")]
    UnknownItem(ItemId),
    /// The store failed.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// An event could not be encoded; a bug of the service.
    #[error("event cannot be encoded")]
    Event(#[from] CodecError),
}

impl ServiceError for ItemError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownItem(_) => ErrorKind::NotFound,
            Self::Repo(error) => error.kind(),
            Self::Event(_) => ErrorKind::Internal,
        }
    }
}

/// The operations on items, independent of protocols.
#[derive(Clone)]
pub struct ItemService {
    repo: Arc<dyn ItemRepository>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    trace: fn() -> Option<TraceContext>,
}

impl ItemService {
    /// Creates a service. `trace` returns the trace context of the current request, which its events propagate.
    pub fn new(
        repo: Arc<dyn ItemRepository>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        trace: fn() -> Option<TraceContext>,
    ) -> Self {
        Self { repo, clock, ids, trace }
    }

    /// Creates an item, and publishes [`ItemCreated`].
    pub async fn create(&self, text: ItemText) -> Result<Item, ItemError> {
        let item = Item { id: ItemId(self.ids.next()), text, created_at: self.clock.now() };
        let created = ItemCreated { id: item.id, text: item.text.clone(), created_at: item.created_at };
        let mut event = Event::new(self.ids.next(), SOURCE, item.created_at, &created)?;
        event.trace = (self.trace)();
        self.repo.insert(&item, &[event]).await?;
        Ok(item)
    }

    /// The item with this id.
    pub async fn get(&self, id: ItemId) -> Result<Item, ItemError> {
        self.repo.find(id).await?.ok_or(ItemError::UnknownItem(id))
    }

    /// A page of items, newest first.
    pub async fn list(&self, after: Option<Cursor>, size: PageSize) -> Result<Page<Item>, ItemError> {
        let items = self.repo.list(after.map(|cursor| ItemId(cursor.0)), size.get() + 1).await?;
        Ok(Page::from_overfetch(items, size, |item| item.id.0))
    }

    /// Deletes an item.
    pub async fn delete(&self, id: ItemId) -> Result<(), ItemError> {
        if self.repo.delete(id).await? { Ok(()) } else { Err(ItemError::UnknownItem(id)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: impl Into<String>) -> Result<ItemText, InvalidItemText> {
        text.into().try_into()
    }

    #[test]
    fn a_text_is_printable_and_of_any_script() {
        for valid in ["a", " a ", "one\n\ttwo", "犬 🐕 Ŕéx", "O'Hara \"x\" \\ %_ ;--"] {
            assert_eq!(text(valid).unwrap().as_str(), valid);
        }
        for invalid in ["", " ", "\n\t", "\u{3000}", "a\0", "a\r\n", "\u{1b}[1m", "\u{85}"] {
            assert!(text(invalid).is_err(), "{invalid:?}");
        }
    }

    #[test]
    fn the_length_of_a_text_is_limited_in_characters() {
        assert!(text("🐕".repeat(2_000)).is_ok());
        let error = text("a".repeat(2_001)).unwrap_err();
        assert_eq!(error.to_string(), "must be 1 to 2000 printable characters");
    }

    #[test]
    fn a_text_is_checked_when_it_is_deserialized() {
        assert_eq!(serde_json::from_str::<ItemText>("\"a\"").unwrap(), text("a").unwrap());
        let error = serde_json::from_str::<ItemText>("\" \"").unwrap_err();
        assert!(error.to_string().starts_with("must be 1 to 2000 printable characters"), "{error}");
    }
}
