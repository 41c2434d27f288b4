//! Walks through two stores side by side, by id, and tells where they differ.

use dogs_domain::{Dog, DogId};
use futures_util::future::try_join;
use sha2::{Digest as _, Sha256};

use super::side::Side;
use super::{End, PAGE, StoreError};

/// Where two stores differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Only the first store has the dog.
    Missing(Dog),
    /// Only the second store has the dog.
    Extra(Dog),
    /// Both have it, and not alike.
    Changed {
        /// The dog of the first store.
        from: Dog,
        /// The dog of the second store.
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

/// What was seen of one store.
#[derive(Debug, Clone, Default)]
pub struct Total {
    /// How many dogs.
    pub dogs: u64,
    content: Sha256,
}

impl Total {
    fn add(&mut self, dog: &Dog) {
        self.dogs += 1;
        // Every field is text or a number, so that writing it cannot fail.
        drop(serde_json::to_writer(&mut self.content, dog));
        self.content.update(b"\n");
    }

    /// The SHA-256 of the dogs by id, each as a line of JSON.
    pub fn digest(&self) -> String {
        format!("{:x}", self.content.clone().finalize())
    }
}

/// A stretch of the walk.
#[derive(Debug, Clone, Default)]
pub struct Compared {
    /// Dogs in it, those of both stores counted once.
    pub dogs: u64,
    /// The last of them.
    pub reached: Option<DogId>,
    /// Where the stores differ in it, by id.
    pub differences: Vec<Difference>,
}

/// A walk through two stores. Holds two pages of each at most.
pub struct Comparison {
    from: Side,
    to: Side,
    /// What was seen of the first store.
    pub seen_from: Total,
    /// What was seen of the second store.
    pub seen_to: Total,
}

impl Comparison {
    /// A walk that begins behind the dog `after`.
    pub fn new(from: &End, to: &End, after: Option<DogId>) -> Self {
        let (from, to) = (Side::new(from.clone(), after), Side::new(to.clone(), after));
        Self { from, to, seen_from: Total::default(), seen_to: Total::default() }
    }

    /// Reads on, so that [`Self::step`] has something to compare.
    pub async fn fill(&mut self) -> Result<(), StoreError> {
        try_join(self.from.fill(), self.to.fill()).await?;
        Ok(())
    }

    /// Compares what is read, a page of dogs at most; `None` at the end. To be called after [`Self::fill`].
    pub fn step(&mut self) -> Option<Compared> {
        let mut compared = Compared::default();
        while compared.dogs < u64::from(PAGE) && !self.from.is_dry() && !self.to.is_dry() {
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
            self.seen_from.add(dog);
        }
        if let Some(dog) = &to {
            self.seen_to.add(dog);
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
