//! Decoding within one budget of memory, whoever asks for it: callers that store pictures, and the worker that makes small
//! copies.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use dogs_domain::ports::{PictureCheck, PictureRefused};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use super::PictureError;

/// What the budget is counted in.
const UNIT: u64 = 64 << 10;
/// The least that is counted for a picture, so that no more than a few are decoded at once.
const LEAST: u64 = 8 << 20;

/// Decodes pictures off the async threads, as many at once as fit into a budget of memory. Clones share the budget.
#[derive(Debug, Clone)]
pub struct Pictures {
    budget: Arc<Semaphore>,
    memory: u64,
}

impl Pictures {
    /// With this many bytes for all that is decoded at a time; a picture that needs more is refused.
    pub fn new(memory: u64) -> Self {
        let units = usize::try_from(memory / UNIT).unwrap_or(Semaphore::MAX_PERMITS);
        Self { budget: Arc::new(Semaphore::new(units.clamp(1, Semaphore::MAX_PERMITS))), memory }
    }

    /// See [`super::thumbnail`].
    pub async fn thumbnail(&self, picture: Bytes) -> Result<Vec<u8>, PictureError> {
        self.run(picture, super::thumbnail).await
    }

    /// Decodes the picture as [`Pictures::thumbnail`] does, and throws it away: what passes has a small copy.
    pub async fn verify(&self, picture: Bytes) -> Result<(), PictureError> {
        self.run(picture, super::verify).await
    }

    async fn run<T: Send + 'static>(
        &self,
        picture: Bytes,
        work: impl FnOnce(&[u8], u64) -> Result<T, PictureError> + Send + 'static,
    ) -> Result<T, PictureError> {
        let memory = self.memory;
        let head = picture.clone();
        let needed = blocking(move || super::inspect(&head, memory)).await?.memory;
        let permit = self.permit(needed).await;
        blocking(move || {
            let _permit = permit;
            work(&picture, memory)
        })
        .await
    }

    /// Room for so many bytes, once others have given it back. Nobody closes the semaphore.
    async fn permit(&self, needed: u64) -> Option<OwnedSemaphorePermit> {
        let units = needed.max(LEAST).min(self.memory).div_ceil(UNIT).min(self.memory / UNIT).max(1);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        Arc::clone(&self.budget).acquire_many_owned(units).await.ok()
    }
}

/// Runs to its end, also when nobody waits any more.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PictureError> + Send + 'static,
) -> Result<T, PictureError> {
    spawn_blocking(work).await.unwrap_or_else(|panic| Err(PictureError::Decoder(panic.into())))
}

#[async_trait]
impl PictureCheck for Pictures {
    async fn check(&self, picture: Bytes) -> Result<(), PictureRefused> {
        self.verify(picture).await.map_err(|error| PictureRefused { reason: error.to_string(), source: error.into() })
    }
}
