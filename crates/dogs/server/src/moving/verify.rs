//! Verifies a copy: every dog of both stores, field by field.

use std::collections::HashMap;

use dogs_domain::{Dog, DogId};

use super::compare::{Comparison, Total};
use super::copy::{Copy, CopyError};
use super::{End, StoreError};

/// More differences are not looked at again one by one: they are not what a writer does meanwhile.
const FEW: usize = 10_000;
/// How often those that differ are looked at again.
const LOOKS: u32 = 5;

/// What came of the verification.
#[derive(Debug)]
pub struct Verdict {
    /// What was seen of the first store.
    pub from: Total,
    /// What was seen of the second store.
    pub to: Total,
    /// Dogs that differed when they were walked through, because they were changed meanwhile, and no longer do.
    pub in_flight: usize,
    /// How many dogs differ.
    pub differing: usize,
    /// Some of them.
    pub examples: Vec<DogId>,
}

impl Copy<'_> {
    /// Compares all dogs of both stores, and those that differ again once the changes since are carried over.
    pub async fn verify(&mut self) -> Result<Verdict, CopyError> {
        let mut comparison = Comparison::new(&self.from, &self.to, None);
        let (mut differing, mut count) = (Vec::new(), 0);
        comparison.fill().await?;
        while let Some(compared) = comparison.step() {
            count += compared.differences.len();
            let room = FEW.saturating_sub(differing.len());
            differing.extend(compared.differences.iter().map(super::Difference::id).take(room));
            comparison.fill().await?;
        }
        if count > differing.len() {
            return Ok(verdict(comparison, 0, count, &differing));
        }
        for _ in 0..LOOKS {
            if differing.is_empty() {
                break;
            }
            differing = self.still_differing(differing).await?;
        }
        Ok(verdict(comparison, count - differing.len(), differing.len(), &differing))
    }

    async fn still_differing(&mut self, ids: Vec<DogId>) -> Result<Vec<DogId>, CopyError> {
        let before = find_all(&self.from, &ids).await?;
        self.catch_up().await?;
        let to = find_all(&self.to, &ids).await?;
        let after = find_all(&self.from, &ids).await?;
        // The source may have changed it once more since it was carried over.
        let differs = |id: &DogId| to.get(id) != before.get(id) && to.get(id) != after.get(id);
        Ok(ids.into_iter().filter(differs).collect())
    }
}

async fn find_all(end: &End, ids: &[DogId]) -> Result<HashMap<DogId, Dog>, StoreError> {
    let dogs = end.ask(|| end.stores.replica.find_all(ids)).await?;
    Ok(dogs.into_iter().map(|dog| (dog.id, dog)).collect())
}

fn verdict(comparison: Comparison, in_flight: usize, differing: usize, examples: &[DogId]) -> Verdict {
    let examples = examples.iter().copied().take(10).collect();
    Verdict { from: comparison.seen_from, to: comparison.seen_to, in_flight, differing, examples }
}
