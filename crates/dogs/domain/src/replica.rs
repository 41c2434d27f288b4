//! What one store needs of another to become a copy of it.
//!
//! This is a port of its own, beside [`crate::DogRepository`]: what serves requests cannot write past revisions and
//! events, and decorators of the repository have nothing to pass on.

use async_trait::async_trait;
use kennel_core::RepoError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Dog, DogId};

/// How far a copy has come. Kept with the copy, so that whoever goes on with it finds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bookmark {
    /// The published event of the source up to which changes are carried over; `None` while none was published.
    pub place: Option<Uuid>,
    /// Whether the dogs are still being walked through. Otherwise only changes are left.
    pub walking: bool,
    /// The dog up to which they are walked through.
    pub after: Option<DogId>,
}

/// One step of a copy; commits whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyStep {
    /// The name of the store that is copied.
    pub source: String,
    /// Dogs that go, before others come.
    pub removed: Vec<DogId>,
    /// Dogs as they are to be, with ids of which none repeats.
    pub dogs: Vec<Dog>,
    /// How far the copy is with this step.
    pub bookmark: Bookmark,
}

/// A store as the copy of another. Nothing that is written here causes an event: it was told where it happened.
#[async_trait]
pub trait DogReplica: Send + Sync + 'static {
    /// The dogs of these ids that are there, in any order.
    async fn find_all(&self, ids: &[DogId]) -> Result<Vec<Dog>, RepoError>;

    /// Takes the step: removes dogs, whatever revision they are at, and stores dogs as they are, every field and time;
    /// one that is there at a later revision stays. A step that is taken again changes nothing.
    async fn carry(&self, step: &CopyStep) -> Result<(), RepoError>;

    /// How far the copy of `source` is; `None` when it was not begun.
    async fn bookmark(&self, source: &str) -> Result<Option<Bookmark>, RepoError>;
}
