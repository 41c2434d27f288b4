//! Decodes images within one memory budget, which requests and workers of a process share.

use std::io::{BufRead, Seek};
use std::sync::Arc;

use bytes::Bytes;
use kennel_core::BoxError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use crate::DecodeError;
use crate::gif::{self, GifError, GifInfo, GifLimits, Renditions};

/// The unit of the budget, in bytes.
const UNIT: u64 = 64 << 10;
/// The minimum charge for an image, so that only a few are decoded at once.
const MIN_CHARGE: u64 = 8 << 20;

/// Decodes images on blocking threads, as many at once as fit into a memory budget. Clones share the budget.
#[derive(Debug, Clone)]
pub struct ImageProcessor {
    budget: Arc<Semaphore>,
    memory: u64,
}

impl ImageProcessor {
    /// Creates a processor with a budget of `memory` bytes; an image that alone needs more is rejected.
    pub fn new(memory: u64) -> Self {
        let units = usize::try_from(memory / UNIT).unwrap_or(Semaphore::MAX_PERMITS);
        Self { budget: Arc::new(Semaphore::new(units.clamp(1, Semaphore::MAX_PERMITS))), memory }
    }

    /// See [`crate::thumbnail`].
    pub async fn thumbnail(&self, image: Bytes) -> Result<Vec<u8>, DecodeError> {
        self.run(image, crate::thumbnail).await
    }

    /// Decodes the image as [`ImageProcessor::thumbnail`] does, and discards it. A valid image has a thumbnail.
    pub async fn verify(&self, image: Bytes) -> Result<(), DecodeError> {
        self.run(image, crate::verify).await
    }

    /// See [`gif::inspect`], which decodes nothing. Rejects a file that needs more than the budget to be decoded.
    pub async fn inspect_gif(
        &self,
        file: impl BufRead + Seek + Send + 'static,
        limits: GifLimits,
    ) -> Result<GifInfo, GifError> {
        let info = off_thread(move || gif::inspect(file, &limits))
            .await
            .unwrap_or_else(|panic| Err(GifError::Decoder(panic)))?;
        if info.memory() > self.memory {
            let (needed, most) = (info.memory() >> 20, self.memory >> 20);
            let screen = format!("{}x{} pixels", info.width, info.height);
            return Err(GifError::OverLimits(format!("{screen} need {needed} MiB to decode, at most {most} MiB")));
        }
        Ok(info)
    }

    /// See [`gif::render`].
    pub async fn render_gif(
        &self,
        file: impl BufRead + Seek + Send + 'static,
        info: GifInfo,
    ) -> Result<Renditions, GifError> {
        let (memory, permit) = (self.memory, self.permit(info.memory()).await);
        let rendered = off_thread(move || {
            let _permit = permit;
            gif::render(file, &info, memory)
        });
        rendered.await.unwrap_or_else(|panic| Err(GifError::Decoder(panic)))
    }

    async fn run<T: Send + 'static>(
        &self,
        image: Bytes,
        work: impl FnOnce(&[u8], u64) -> Result<T, DecodeError> + Send + 'static,
    ) -> Result<T, DecodeError> {
        let memory = self.memory;
        let head = image.clone();
        let needed = blocking(move || crate::inspect(&head, memory)).await?.memory;
        let permit = self.permit(needed).await;
        blocking(move || {
            let _permit = permit;
            work(&image, memory)
        })
        .await
    }

    /// Waits until the budget has room for `needed` bytes. Always `Some`, because the semaphore is never closed.
    async fn permit(&self, needed: u64) -> Option<OwnedSemaphorePermit> {
        let units = needed.max(MIN_CHARGE).min(self.memory).div_ceil(UNIT).min(self.memory / UNIT).max(1);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        Arc::clone(&self.budget).acquire_many_owned(units).await.ok()
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DecodeError> + Send + 'static,
) -> Result<T, DecodeError> {
    off_thread(work).await.unwrap_or_else(|panic| Err(DecodeError::Decoder(panic)))
}

/// Runs the work on a blocking thread. It runs to its end even if the caller is cancelled.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, BoxError> {
    Ok(spawn_blocking(work).await?)
}
