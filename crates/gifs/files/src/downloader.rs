//! Stores the bytes of every GIF that the catalogue discovers.

use async_trait::async_trait;
use gifs_contracts::GifDiscovered;
use gifs_domain::media::{MediaError, MediaService};
use kennel_core::{Event, EventFilter, EventType as _, Receipt};
use kennel_outbox::{Handled, Handler, HandlerError};

/// Handles [`GifDiscovered`].
pub struct Downloader(pub MediaService);

impl Downloader {
    /// The consumer group, and the name of its component. Its members share the GIFs.
    pub const GROUP: &str = "gif-files.downloader";
}

#[async_trait]
impl Handler for Downloader {
    fn filter(&self) -> EventFilter {
        EventFilter::names([GifDiscovered::NAME])
    }

    async fn handle(&self, event: &Event, receipt: &Receipt) -> Result<Handled, HandlerError> {
        let decoded = event.decode::<GifDiscovered>().map_err(|error| HandlerError::Permanent(error.into()))?;
        let Some(gif) = decoded else { return Ok(Handled::Done) };
        // A refusal is an outcome. What is left as an error, a later attempt may not meet.
        self.0.store(&gif, receipt).await.map_err(|error: MediaError| HandlerError::Retry(error.into()))?;
        Ok(Handled::Recorded)
    }
}
