//! Which cached dogs events make stale.

use std::sync::Arc;

use async_trait::async_trait;
use dogs_domain::DogId;
use dogs_domain::events::{DogDeleted, DogUpdated, ThumbnailStored};
use dogs_storages::CachedDogRepository;
use kennel_core::{CodecError, Event, EventType as _};
use kennel_outbox::Invalidate;

/// The cache of dogs, for [`kennel_outbox::Invalidator`].
pub struct StaleDogs(pub Arc<CachedDogRepository>);

#[async_trait]
impl Invalidate for StaleDogs {
    type Key = DogId;

    fn stale(&self, event: &Event) -> Result<Option<DogId>, CodecError> {
        Ok(match event.name.as_str() {
            DogUpdated::NAME => event.decode::<DogUpdated>()?.map(|event| event.id),
            DogDeleted::NAME => event.decode::<DogDeleted>()?.map(|event| event.id),
            ThumbnailStored::NAME => event.decode::<ThumbnailStored>()?.map(|event| event.id),
            _ => None,
        })
    }

    async fn invalidate(&self, id: DogId) {
        self.0.invalidate(id).await;
    }
}
