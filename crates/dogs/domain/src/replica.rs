//! The port that copies one store to another.
//!
//! It is separate from [`crate::DogRepository`], because it overwrites revisions and appends no events; requests must
//! not be able to do that, and decorators of the repository do not apply to it.

use async_trait::async_trait;
use kennel_core::RepoError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Dog, DogId};

/// The progress of a copy. Stored with the copy, so that any process can resume it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The published event of the source up to which changes are applied; `None` while the source has published none.
    pub event: Option<Uuid>,
    /// Whether the scan of all dogs is still running. After it, only changes are applied.
    pub scanning: bool,
    /// The dog up to which the scan has run.
    pub after: Option<DogId>,
}

/// One step of a copy; committed completely or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyStep {
    /// The name of the source store.
    pub source: String,
    /// Dogs to remove, before `dogs` are stored.
    pub removed: Vec<DogId>,
    /// Dogs to store as they are. No id occurs twice.
    pub dogs: Vec<Dog>,
    /// The progress after this step.
    pub checkpoint: Checkpoint,
}

/// A store as the target of a copy.
///
/// A step appends no events: the source published them when the change happened.
#[async_trait]
pub trait DogReplica: Send + Sync + 'static {
    /// The existing dogs with these ids, in any order.
    async fn find_all(&self, ids: &[DogId]) -> Result<Vec<Dog>, RepoError>;

    /// Applies a step in one transaction, with its checkpoint; durable when it returns.
    ///
    /// - Removes the dogs of `removed`, at whatever revision they are; missing ones are ignored.
    /// - Stores every field and time of `dogs` unchanged. A stored dog at a later revision is retained; one at an equal
    ///   revision is replaced.
    /// - Applying a step again changes nothing.
    async fn apply(&self, step: &CopyStep) -> Result<(), RepoError>;

    /// The checkpoint of the copy of `source`; `None` when no step of it was applied.
    async fn checkpoint(&self, source: &str) -> Result<Option<Checkpoint>, RepoError>;
}
