//! Consumes what Media reports about the bytes of GIFs.

use async_trait::async_trait;
use gifs_contracts::{MediaRefused, MediaStored};
use gifs_domain::catalogue::{CatalogueError, CatalogueService, Settled};
use kennel_core::{CodecError, Event, EventFilter, EventType as _, Receipt};
use kennel_outbox::{Handled, Handler, HandlerError};

/// Handles [`MediaStored`] and [`MediaRefused`]: moves the GIF to its final state, together with the receipt.
pub(crate) struct MediaResults(pub(crate) CatalogueService);

impl MediaResults {
    /// The consumer group, and the name of its component.
    pub(crate) const GROUP: &str = "gif-storage.media";
}

#[async_trait]
impl Handler for MediaResults {
    fn filter(&self) -> EventFilter {
        EventFilter::names([MediaStored::NAME, MediaRefused::NAME])
    }

    async fn handle(&self, event: &Event, receipt: &Receipt) -> Result<Handled, HandlerError> {
        let permanent = |error: CodecError| HandlerError::Permanent(error.into());
        let settled = if let Some(stored) = event.decode::<MediaStored>().map_err(permanent)? {
            self.0.stored(stored, receipt.clone()).await
        } else if let Some(refused) = event.decode::<MediaRefused>().map_err(permanent)? {
            self.0.refused(refused, receipt.clone()).await
        } else {
            return Ok(Handled::Done);
        };
        let settled = settled.map_err(|error: CatalogueError| HandlerError::Retry(error.into()))?;
        if settled == Settled::Unknown {
            tracing::warn!(gif.id = event.key, "media reports about a gif that is not in the catalogue");
        }
        Ok(Handled::Recorded)
    }
}
