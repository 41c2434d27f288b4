//! Compares what became of each GIF with what the Catalogue knows.

use std::collections::VecDeque;
use std::time::Duration;

use gifs_contracts::{GifId, Refusal, Sha256};
use kennel_core::{Receipt, Timestamp};

use super::{Difference, Finding, OTHER_BYTES, Options, PAGE, PROVIDER_UNAVAILABLE, Progress, Reconciliation, Subject};
use crate::media::model::{Outcome, Verdict};
use crate::media::ports::{CatalogueGif, CatalogueReader, CatalogueState, FetchError};
use crate::media::service::{MediaError, MediaService};

/// The group of the receipts of repairs. They answer no event.
const GROUP: &str = "gif-files.reconcile";

impl MediaService {
    pub(super) async fn compare_catalogue(
        &self,
        catalogue: &dyn CatalogueReader,
        options: Options,
        result: &mut Reconciliation,
        report: &mut impl FnMut(Progress, Option<Finding>),
    ) -> Result<(), MediaError> {
        let (mut outcomes, mut gifs) = (Outcomes::default(), Gifs::default());
        loop {
            outcomes.fill(self).await?;
            gifs.fill(catalogue, &mut result.compared).await?;
            let (outcome, gif) = (outcomes.queue.front(), gifs.queue.front());
            let Some(id) = outcome.map(|outcome| outcome.id).max(gif.map(|gif| gif.id)) else { return Ok(()) };
            let outcome = outcomes.queue.pop_front_if(|outcome| outcome.id == id);
            let gif = gifs.queue.pop_front_if(|gif| gif.id == id);
            let finding = if self.difference(outcome.as_ref(), gif.as_ref(), options.grace).is_some() {
                self.check_gif(catalogue, id, options).await?
            } else {
                None
            };
            result.count(finding.as_ref());
            report(result.compared, finding);
        }
    }

    /// A GIF that seems to have a difference.
    async fn check_gif(
        &self,
        catalogue: &dyn CatalogueReader,
        id: GifId,
        options: Options,
    ) -> Result<Option<Finding>, MediaError> {
        let gif = catalogue.find(id).await.map_err(MediaError::Catalogue)?;
        let outcome = self.ports.blobs.outcome(id).await?;
        let Some(difference) = self.difference(outcome.as_ref(), gif.as_ref(), options.grace) else { return Ok(None) };
        let repair = match (options.repair, outcome, gif) {
            (false, ..) => None,
            (true, Some(outcome), _) if difference == Difference::Unreported => {
                self.answer(&outcome, &self.receipt()).await?;
                Some(Ok(()))
            }
            (true, None, Some(gif)) => Some(self.settle_again(gif).await?),
            (true, _, None) => Some(Err("the catalogue does not have it".to_owned())),
            (true, Some(_), Some(_)) => Some(Err("both are final".to_owned())),
        };
        Ok(Some(Finding { difference, subject: Subject::Gif(id), repair }))
    }

    /// Stores the GIF of the Catalogue, as it is known there.
    async fn settle_again(&self, gif: CatalogueGif) -> Result<Result<(), String>, MediaError> {
        let Some(url) = gif.url else { return Ok(Err("the catalogue has no address".to_owned())) };
        let fetched = match gif.state {
            CatalogueState::Refused(refusal) => Err(known_refusal(refusal)),
            CatalogueState::Stored(expected) => match self.ports.fetcher.fetch(&url).await {
                Ok(fetched) if fetched.sha256 == expected => Ok(fetched),
                Ok(_) => return Ok(Err(OTHER_BYTES.to_owned())),
                Err(FetchError::Refused { refusal, .. }) => return Ok(Err(refusal.to_string())),
                Err(error) => Err(error),
            },
            CatalogueState::Known | CatalogueState::Fetching => self.ports.fetcher.fetch(&url).await,
        };
        match self.settle(gif.id, &url, fetched, &self.receipt()).await {
            Err(MediaError::Upstream(_)) => Ok(Err(PROVIDER_UNAVAILABLE.to_owned())),
            settled => settled.map(Ok),
        }
    }

    fn difference(&self, outcome: Option<&Outcome>, gif: Option<&CatalogueGif>, grace: Duration) -> Option<Difference> {
        let is_old = |at: Timestamp| self.ports.clock.now().since(at) >= grace;
        match (outcome, gif.map(|gif| (&gif.state, gif.changed_at))) {
            (None, None | Some((CatalogueState::Known, _))) => None,
            (Some(_), None) => Some(Difference::UnknownGif),
            (None, Some((CatalogueState::Fetching, at))) => is_old(at).then_some(Difference::Unsettled),
            (None, Some(_)) => Some(Difference::Forgotten),
            (Some(outcome), Some((CatalogueState::Known | CatalogueState::Fetching, _))) => {
                is_old(outcome.at).then_some(Difference::Unreported)
            }
            (Some(outcome), Some((state, _))) => {
                (stored(&outcome.verdict) != stored_hash(state)).then_some(Difference::Contradiction)
            }
        }
    }

    fn receipt(&self) -> Receipt {
        Receipt { group: GROUP.to_owned(), event: self.ports.ids.next(), at: self.ports.clock.now() }
    }
}

fn known_refusal(refusal: Refusal) -> FetchError {
    FetchError::Refused { refusal, detail: "as the catalogue knows it".to_owned() }
}

/// The hash of the stored bytes; `None` if they were refused.
const fn stored(verdict: &Verdict) -> Option<&Sha256> {
    match verdict {
        Verdict::Stored(sha256) => Some(sha256),
        Verdict::Refused { .. } => None,
    }
}

const fn stored_hash(state: &CatalogueState) -> Option<&Sha256> {
    match state {
        CatalogueState::Stored(sha256) => Some(sha256),
        _ => None,
    }
}

/// The outcomes, newest GIFs first.
#[derive(Default)]
struct Outcomes {
    queue: VecDeque<Outcome>,
    last: Option<GifId>,
    is_done: bool,
}

impl Outcomes {
    async fn fill(&mut self, media: &MediaService) -> Result<(), MediaError> {
        if self.queue.is_empty() && !self.is_done {
            let page = media.ports.blobs.list_outcomes(self.last, PAGE).await?;
            match page.last() {
                Some(last) => self.last = Some(last.id),
                None => self.is_done = true,
            }
            self.queue.extend(page);
        }
        Ok(())
    }
}

/// The GIFs of the Catalogue, newest first.
#[derive(Default)]
struct Gifs {
    queue: VecDeque<CatalogueGif>,
    next: Option<String>,
    is_done: bool,
}

impl Gifs {
    async fn fill(&mut self, catalogue: &dyn CatalogueReader, compared: &mut Progress) -> Result<(), MediaError> {
        while self.queue.is_empty() && !self.is_done {
            let page = catalogue.page(self.next.as_deref()).await.map_err(MediaError::Catalogue)?;
            compared.gifs += page.gifs.len() as u64;
            self.is_done = page.next.is_none();
            self.next = page.next;
            self.queue.extend(page.gifs);
        }
        Ok(())
    }
}
