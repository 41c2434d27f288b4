//! Verifies a copy: every dog of both stores, field by field.

use std::collections::HashMap;

use dogs_domain::{Dog, DogId};

use super::compare::{Comparison, StoreSummary};
use super::copy::{CopyError, StoreCopy};
use super::{StoreError, StoreHandle};

/// More differences than this are not rechecked one by one: concurrent writes do not cause that many.
const SMALL_DIFF_LIMIT: usize = 10_000;
/// How many times differing dogs are rechecked.
const MAX_RECHECKS: u32 = 5;

/// The result of a verification.
#[derive(Debug)]
pub struct Verification {
    /// The dogs of the source.
    pub from: StoreSummary,
    /// The dogs of the target.
    pub to: StoreSummary,
    /// Dogs that differed during the scan, because they were changed concurrently, and are equal now.
    pub in_flight: usize,
    /// The number of dogs that differ.
    pub differing: usize,
    /// The ids of some of them.
    pub examples: Vec<DogId>,
}

impl StoreCopy<'_> {
    /// Compares all dogs of both stores, and rechecks those that differ after applying later changes.
    pub async fn verify(&mut self) -> Result<Verification, CopyError> {
        let mut comparison = Comparison::new(&self.from, &self.to, None);
        let (mut differing, mut count) = (Vec::new(), 0);
        comparison.fill().await?;
        while let Some(compared) = comparison.step() {
            count += compared.differences.len();
            let room = SMALL_DIFF_LIMIT.saturating_sub(differing.len());
            differing.extend(compared.differences.iter().map(super::Difference::id).take(room));
            comparison.fill().await?;
        }
        if count > differing.len() {
            return Ok(verification(comparison, 0, count, &differing));
        }
        for _ in 0..MAX_RECHECKS {
            if differing.is_empty() {
                break;
            }
            differing = self.still_differing(differing).await?;
        }
        Ok(verification(comparison, count - differing.len(), differing.len(), &differing))
    }

    async fn still_differing(&mut self, ids: Vec<DogId>) -> Result<Vec<DogId>, CopyError> {
        let before = find_all(&self.from, &ids).await?;
        self.catch_up().await?;
        let to = find_all(&self.to, &ids).await?;
        let after = find_all(&self.from, &ids).await?;
        // The source may have changed the dog again after the copy applied the change.
        let differs = |id: &DogId| to.get(id) != before.get(id) && to.get(id) != after.get(id);
        Ok(ids.into_iter().filter(differs).collect())
    }
}

async fn find_all(store: &StoreHandle, ids: &[DogId]) -> Result<HashMap<DogId, Dog>, StoreError> {
    let dogs = store.call(|| store.stores.replica.find_all(ids)).await?;
    Ok(dogs.into_iter().map(|dog| (dog.id, dog)).collect())
}

fn verification(comparison: Comparison, in_flight: usize, differing: usize, examples: &[DogId]) -> Verification {
    let examples = examples.iter().copied().take(10).collect();
    Verification { from: comparison.from_summary, to: comparison.to_summary, in_flight, differing, examples }
}
