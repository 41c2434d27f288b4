//! Stores the bytes of every GIF that the catalogue discovers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gifs_contracts::GifDiscovered;
use gifs_domain::media::{MediaError, MediaService};
use kennel_core::{ErrorKind, Event, EventFilter, EventType as _, Receipt, ServiceError as _};
use kennel_outbox::{Handled, Handler, HandlerError};
use tokio::time::timeout;

/// How long a GIF may take. It is shorter than the handler's limit, so that the reason can be found.
const STORE_TIMEOUT: Duration = Duration::from_secs(26);
/// How long an object store may take to respond.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// Handles [`GifDiscovered`].
pub struct Downloader {
    media: MediaService,
    concurrency: usize,
    /// The object store did not respond; nothing is downloaded in vain until it does.
    is_waiting: AtomicBool,
}

impl Downloader {
    /// The consumer group, and the name of its component. Its members share the GIFs.
    pub const GROUP: &str = "gif-files.downloader";

    /// A handler that stores with `media`, up to `concurrency` GIFs at once.
    pub const fn new(media: MediaService, concurrency: usize) -> Self {
        Self { media, concurrency, is_waiting: AtomicBool::new(false) }
    }

    async fn store(&self, gif: &GifDiscovered, receipt: &Receipt) -> Result<(), HandlerError> {
        if self.is_waiting.load(Ordering::Relaxed) {
            self.ping().await?;
        }
        match timeout(STORE_TIMEOUT, self.media.store(gif.id, &gif.url, receipt)).await {
            Ok(Err(error)) => Err(self.failed(error).await),
            Ok(Ok(())) => Ok(()),
            // The provider may be slow, and the object store may not respond.
            Err(elapsed) => {
                self.ping().await?;
                Err(HandlerError::Retry(elapsed.into()))
            }
        }
    }

    /// Fails if the object store does not respond.
    async fn ping(&self) -> Result<(), HandlerError> {
        let pinged = timeout(PING_TIMEOUT, self.media.ping_objects()).await;
        self.is_waiting.store(!matches!(pinged, Ok(Ok(()))), Ordering::Relaxed);
        match pinged {
            Ok(pinged) => pinged.map_err(|error| HandlerError::Unavailable(error.into())),
            Err(elapsed) => Err(HandlerError::Unavailable(elapsed.into())),
        }
    }

    /// An outage of the stores or of the own disk concerns every GIF, and one of a provider does not.
    async fn failed(&self, error: MediaError) -> HandlerError {
        match error {
            MediaError::Objects(_) | MediaError::Repo(_) if error.kind() == ErrorKind::Unavailable => {
                self.is_waiting.store(true, Ordering::Relaxed);
                HandlerError::Unavailable(error.into())
            }
            // Keys that were replaced, and a bucket that was removed, concern every GIF too.
            MediaError::Objects(_) => match self.ping().await {
                Ok(()) => HandlerError::Retry(error.into()),
                Err(unavailable) => unavailable,
            },
            MediaError::Local(_) => HandlerError::Unavailable(error.into()),
            _ => HandlerError::Retry(error.into()),
        }
    }
}

#[async_trait]
impl Handler for Downloader {
    fn filter(&self) -> EventFilter {
        EventFilter::names([GifDiscovered::NAME])
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    async fn handle(&self, event: &Event, receipt: &Receipt) -> Result<Handled, HandlerError> {
        let decoded = event.decode::<GifDiscovered>().map_err(|error| HandlerError::Permanent(error.into()))?;
        let Some(gif) = decoded else { return Ok(Handled::Done) };
        // A refusal is an outcome. What is left as an error, a later attempt may not meet.
        self.store(&gif, receipt).await?;
        Ok(Handled::Recorded)
    }
}

#[cfg(test)]
#[path = "downloader_tests.rs"]
mod tests;
