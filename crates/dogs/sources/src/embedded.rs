//! A source without network: the breeds of the public dog API, and images drawn in-process.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use async_trait::async_trait;
use bytes::Bytes;
use dogs_domain::Breed;
use dogs_domain::ports::{DogSource, Picture, SourceError};
use tokio::sync::Semaphore;
use tokio::task;

use crate::{TooLarge, breeds};

/// Draws a new dog for every call.
#[derive(Debug)]
pub struct EmbeddedSource {
    seed: AtomicU64,
    /// One concurrent drawing per processor: more would only take memory.
    permits: Arc<Semaphore>,
}

impl EmbeddedSource {
    /// A source whose images differ from run to run.
    pub fn new() -> Self {
        Self::seeded(rand::random())
    }

    /// A source that draws the same images in the same order for the same seed.
    pub fn seeded(seed: u64) -> Self {
        let permits = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self { seed: AtomicU64::new(seed), permits: Arc::new(Semaphore::new(permits)) }
    }

    fn next_seed(&self) -> u64 {
        // The increment of SplitMix64: all seeds occur once before one is repeated.
        mixed(self.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed))
    }
}

impl Default for EmbeddedSource {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl DogSource for EmbeddedSource {
    async fn breeds(&self) -> Result<Vec<Breed>, SourceError> {
        Ok(breeds::all())
    }

    async fn picture(&self, breed: &Breed, max_bytes: u64) -> Result<Option<Picture>, SourceError> {
        let Some(subs) = breeds::subs(breed) else {
            return Ok(None);
        };
        let seed = self.next_seed();
        let name = breed_to_draw(breed, subs, seed);
        // The task owns the permit, because it continues when the caller is cancelled.
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(unusable)?;
        let drawn = task::spawn_blocking(move || {
            let _permit = permit;
            dogs_drawing::jpeg(&name, seed)
        });
        let bytes = drawn.await.map_err(unusable)?.map_err(unusable)?;
        if u64::try_from(bytes.len()).is_ok_and(|size| size > max_bytes) {
            return Err(unusable(TooLarge { limit: max_bytes }));
        }
        Ok(Some(Picture { bytes: Bytes::from(bytes), url: None }))
    }
}

/// The name of the breed to draw: a random sub-breed, if the breed has any.
fn breed_to_draw(breed: &Breed, subs: &[&str], seed: u64) -> String {
    let index = usize::try_from(seed >> 33).unwrap_or(0).checked_rem(subs.len());
    match index.and_then(|index| subs.get(index)) {
        Some(sub) => format!("{breed}-{sub}"),
        None => breed.to_string(),
    }
}

fn mixed(seed: u64) -> u64 {
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}

fn unusable(error: impl std::error::Error + Send + Sync + 'static) -> SourceError {
    SourceError::Unusable(error.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn breed(name: &str) -> Breed {
        name.parse().unwrap()
    }

    #[tokio::test]
    async fn draws_a_valid_image_that_differs_each_time() {
        let source = EmbeddedSource::seeded(7);
        let mut seen = BTreeSet::new();
        for _ in 0..3 {
            let image = source.picture(&breed("husky"), MIB).await.unwrap().unwrap();
            let info = kennel_images::inspect(&image.bytes, 64 << 20).unwrap();
            assert_eq!((info.content_type, info.width, info.height), ("image/jpeg", 800, 600));
            assert_eq!(image.url, None);
            seen.insert(image.bytes);
        }
        assert_eq!(seen.len(), 3);
    }

    #[tokio::test]
    async fn one_seed_draws_one_series() {
        let (one, two) = (EmbeddedSource::seeded(3), EmbeddedSource::seeded(3));
        for name in ["hound", "hound-afghan"] {
            let first = one.picture(&breed(name), MIB).await.unwrap();
            assert_eq!(first, two.picture(&breed(name), MIB).await.unwrap());
        }
    }

    #[tokio::test]
    async fn knows_parents_and_sub_breeds_but_no_others() {
        let source = EmbeddedSource::seeded(1);
        for name in ["hound", "hound-afghan"] {
            assert!(source.picture(&breed(name), MIB).await.unwrap().is_some(), "{name}");
        }
        for name in ["husky-foo", "dragon", "hound-afghan-x"] {
            assert!(source.picture(&breed(name), MIB).await.unwrap().is_none(), "{name}");
        }
    }

    #[tokio::test]
    async fn images_over_the_limit_are_rejected() {
        let result = EmbeddedSource::seeded(1).picture(&breed("pug"), 100).await;
        assert!(matches!(result, Err(SourceError::Unusable(_))), "{result:?}");
    }

    #[test]
    fn a_parent_looks_like_any_of_its_sub_breeds() {
        let hound = breed("hound");
        let subs = breeds::subs(&hound).unwrap();
        let names: BTreeSet<_> = (0..200).map(|seed| breed_to_draw(&hound, subs, mixed(seed))).collect();
        assert_eq!(names.len(), subs.len());
        assert_eq!(breed_to_draw(&breed("husky"), &[], 9), "husky");
    }

    #[test]
    fn every_breed_has_a_look_of_its_own_and_every_look_a_breed() {
        let looks: BTreeSet<_> = dogs_drawing::looks().collect();
        for breed in breeds::all() {
            let drawn_as_sub_breed = breeds::subs(&breed).is_some_and(|subs| !subs.is_empty());
            let named = looks.contains(breed.as_str()) || looks.contains(breed.main());
            assert!(drawn_as_sub_breed || named, "{breed}");
        }
        for name in looks {
            assert!(breeds::subs(&breed(name)).is_some(), "{name}");
        }
    }
}
