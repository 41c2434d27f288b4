//! A decorator that executes concurrent calls together while the database is busy; see [`kennel_storage::batching`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use dogs_domain::ports::{DogQuery, IdempotencyKey, Inserted, ThumbnailSet};
use dogs_domain::{BreedCount, Dog, DogId, DogReplica, DogRepository, Revision};
use kennel_core::{Event, ObjectKey, Receipt, RepoError};
use kennel_storage::batching::{Coalescer, Group, GroupCommit, Lookup};
use kennel_storage::tracing::Span;
use kennel_storage::tracing::field::Empty;
use kennel_storage::{Database, database_span};

/// A dog to insert, with the events and the key of its call.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(any(feature = "postgres", feature = "mysql")),
    expect(dead_code, reason = "only these stores insert several dogs with one transaction")
)]
pub(crate) struct NewDog<'a> {
    pub(crate) dog: &'a Dog,
    pub(crate) events: &'a [Event],
    pub(crate) key: Option<&'a IdempotencyKey>,
}

/// A store that inserts several dogs in one transaction.
#[async_trait]
pub(crate) trait InsertAll: Send + Sync + 'static {
    /// Executes inserts as [`DogRepository::insert`] does, all of them or, after an error, none. No id and no key occurs
    /// twice.
    async fn insert_all(&self, inserts: &[NewDog<'_>]) -> Result<Vec<Inserted>, RepoError>;
}

/// The inserts whose result is [`Inserted::New`].
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn new_dogs<'a, 'd>(
    inserts: &'a [NewDog<'d>],
    results: &'a [Inserted],
) -> impl Iterator<Item = &'a NewDog<'d>> {
    inserts.iter().zip(results).filter(|(_, result)| **result == Inserted::New).map(|(insert, _)| insert)
}

/// Decorator that reads several dogs with one query and inserts several dogs with one transaction while the database is
/// busy.
pub struct BatchedDogs {
    inner: Arc<dyn DogRepository>,
    finds: Coalescer<DogId, Dog>,
    /// `None` where the store itself commits concurrent writes together.
    inserts: Option<GroupCommit<Inserts>>,
}

impl BatchedDogs {
    /// Batches the calls to `store` in `database`; inserts only with `inserts`.
    pub(crate) fn new<S>(store: Arc<S>, inserts: Option<Arc<dyn InsertAll>>, database: &Database) -> Self
    where
        S: DogRepository + DogReplica,
    {
        let (metrics, limits) = (&database.metrics, database.batches);
        let finds = Finds { store: Arc::clone(&store), system: metrics.system() };
        let group = |store| {
            let inserts = Inserts { store, system: metrics.system() };
            GroupCommit::new(inserts, limits, metrics.batches("dogs.insert"))
        };
        Self {
            finds: Coalescer::new(finds, limits, metrics.batches("dogs.find")),
            inserts: inserts.map(group),
            inner: store,
        }
    }
}

struct Finds<S> {
    store: Arc<S>,
    system: &'static str,
}

#[async_trait]
impl<S: DogRepository + DogReplica> Lookup<DogId, Dog> for Finds<S> {
    async fn find(&self, id: &DogId) -> Result<Option<Dog>, RepoError> {
        self.store.find(*id).await
    }

    async fn find_all(&self, ids: &[DogId]) -> Result<HashMap<DogId, Dog>, RepoError> {
        let dogs = self.store.find_all(ids).await?;
        Ok(dogs.into_iter().map(|dog| (dog.id, dog)).collect())
    }

    fn span(&self) -> Span {
        database_span!(self.system, "dogs", "find_all", "dogs", db.operation.batch.size = Empty)
    }
}

/// The arguments of one insert.
struct Insert {
    dog: Dog,
    events: Vec<Event>,
    key: Option<IdempotencyKey>,
}

impl Insert {
    fn borrowed(&self) -> NewDog<'_> {
        NewDog { dog: &self.dog, events: &self.events, key: self.key.as_ref() }
    }
}

struct Inserts {
    store: Arc<dyn InsertAll>,
    system: &'static str,
}

#[async_trait]
impl Group for Inserts {
    type Operation = Insert;
    type Output = Inserted;

    async fn execute(&self, inserts: &[Insert]) -> Result<Vec<Result<Inserted, RepoError>>, RepoError> {
        let inserts: Vec<_> = inserts[..distinct(inserts)].iter().map(Insert::borrowed).collect();
        Ok(self.store.insert_all(&inserts).await?.into_iter().map(Ok).collect())
    }

    fn span(&self) -> Span {
        database_span!(self.system, "dogs", "insert_all", "dogs", db.operation.batch.size = Empty)
    }
}

/// The number of inserts before the first one with the id or the key of an earlier one, whose result it needs.
fn distinct(inserts: &[Insert]) -> usize {
    let (mut ids, mut keys) = (HashSet::new(), HashSet::new());
    for (index, insert) in inserts.iter().enumerate() {
        let key = insert.key.as_ref().map(|key| key.key.as_str());
        if !ids.insert(insert.dog.id) || key.is_some_and(|key| !keys.insert(key)) {
            return index;
        }
    }
    inserts.len()
}

#[async_trait]
impl DogRepository for BatchedDogs {
    async fn insert(&self, dog: &Dog, events: &[Event], key: Option<&IdempotencyKey>) -> Result<Inserted, RepoError> {
        let Some(inserts) = &self.inserts else { return self.inner.insert(dog, events, key).await };
        inserts.run(Insert { dog: dog.clone(), events: events.to_vec(), key: key.cloned() }).await
    }

    async fn find(&self, id: DogId) -> Result<Option<Dog>, RepoError> {
        self.finds.find(id).await
    }

    async fn list(&self, query: &DogQuery) -> Result<Vec<Dog>, RepoError> {
        self.inner.list(query).await
    }

    async fn update(&self, dog: &Dog, expected: Revision, events: &[Event]) -> Result<bool, RepoError> {
        self.inner.update(dog, expected, events).await
    }

    async fn delete(&self, id: DogId, expected: Revision, events: &[Event]) -> Result<bool, RepoError> {
        self.inner.delete(id, expected, events).await
    }

    async fn set_thumbnail(
        &self,
        id: DogId,
        photo: &ObjectKey,
        thumbnail: &ObjectKey,
        receipt: &Receipt,
        events: &[Event],
    ) -> Result<ThumbnailSet, RepoError> {
        self.inner.set_thumbnail(id, photo, thumbnail, receipt, events).await
    }

    async fn count_by_breed(&self) -> Result<Vec<BreedCount>, RepoError> {
        self.inner.count_by_breed().await
    }
}
