//! Scans two stores in parallel, in id order, and finds their differences.

use dogs_domain::{Dog, DogId};
use futures_util::future::try_join;
use sha2::{Digest as _, Sha256};

use super::page_reader::PageReader;
use super::{PAGE, StoreError, StoreHandle};

/// A difference between two stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Only the source has the dog.
    Missing(Dog),
    /// Only the target has the dog.
    Extra(Dog),
    /// Both have it, with different values.
    Changed {
        /// The dog of the source.
        from: Dog,
        /// The dog of the target.
        to: Dog,
    },
}

impl Difference {
    /// The dog's id.
    pub const fn id(&self) -> DogId {
        match self {
            Self::Missing(dog) | Self::Extra(dog) | Self::Changed { from: dog, .. } => dog.id,
        }
    }
}

/// The number and the digest of the dogs of one store that were scanned.
#[derive(Debug, Clone, Default)]
pub struct StoreSummary {
    /// How many dogs.
    pub dogs: u64,
    content: Sha256,
}

impl StoreSummary {
    fn add(&mut self, dog: &Dog) {
        self.dogs += 1;
        // Cannot fail: every field is text or a number, and the hash accepts all bytes.
        drop(serde_json::to_writer(&mut self.content, dog));
        self.content.update(b"\n");
    }

    /// The SHA-256 of the dogs in id order, each as a line of JSON.
    pub fn digest(&self) -> String {
        format!("{:x}", self.content.clone().finalize())
    }
}

/// The result of comparing one page.
#[derive(Debug, Clone, Default)]
pub struct Compared {
    /// The number of compared dogs; a dog of both stores counts once.
    pub dogs: u64,
    /// The last of these dogs.
    pub reached: Option<DogId>,
    /// The differences, in id order.
    pub differences: Vec<Difference>,
}

/// A scan of two stores. Buffers at most two pages of each.
pub struct Comparison {
    from: PageReader,
    to: PageReader,
    /// The dogs of the source that were scanned.
    pub from_summary: StoreSummary,
    /// The dogs of the target that were scanned.
    pub to_summary: StoreSummary,
}

impl Comparison {
    /// A scan that starts after the dog `after`.
    pub fn new(from: &StoreHandle, to: &StoreHandle, after: Option<DogId>) -> Self {
        let (from, to) = (PageReader::new(from.clone(), after), PageReader::new(to.clone(), after));
        Self { from, to, from_summary: StoreSummary::default(), to_summary: StoreSummary::default() }
    }

    /// Reads the pages that [`Self::step`] compares next.
    pub async fn fill(&mut self) -> Result<(), StoreError> {
        try_join(self.from.fill(), self.to.fill()).await?;
        Ok(())
    }

    /// Compares at most a page of the buffered dogs; `None` at the end. Call [`Self::fill`] first.
    pub fn step(&mut self) -> Option<Compared> {
        let mut compared = Compared::default();
        while compared.dogs < u64::from(PAGE) && !self.from.needs_page() && !self.to.needs_page() {
            let (from, to) = (self.from.next_id(), self.to.next_id());
            let Some(id) = from.into_iter().chain(to).min() else { break };
            let from = if from == Some(id) { self.from.take() } else { None };
            let to = if to == Some(id) { self.to.take() } else { None };
            compared.dogs += 1;
            compared.reached = Some(id);
            compared.differences.extend(self.compare(from, to));
        }
        (compared.dogs > 0).then_some(compared)
    }

    fn compare(&mut self, from: Option<Dog>, to: Option<Dog>) -> Option<Difference> {
        if let Some(dog) = &from {
            self.from_summary.add(dog);
        }
        if let Some(dog) = &to {
            self.to_summary.add(dog);
        }
        match (from, to) {
            (Some(from), Some(to)) if from == to => None,
            (Some(from), Some(to)) => Some(Difference::Changed { from, to }),
            (Some(dog), None) => Some(Difference::Missing(dog)),
            (None, Some(dog)) => Some(Difference::Extra(dog)),
            (None, None) => None,
        }
    }
}
