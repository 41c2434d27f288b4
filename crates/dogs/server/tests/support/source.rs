//! A source of dogs with configurable faults.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dogs_domain::ports::{Picture, SourceError};
use dogs_domain::{Breed, DogSource};
use kennel_testkit::upstream::images;

/// A fault of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FaultMode {
    /// No fault.
    #[default]
    None,
    /// Unavailable, with a retry-after if given.
    Unavailable(Option<Duration>),
    /// Every call times out.
    Timeout,
    /// Every response is unusable.
    Unusable,
    /// Every image is truncated.
    DamagedImage,
}

/// Has images of `husky` and `hound-afghan`.
#[derive(Debug, Default)]
pub struct TestSource(Mutex<FaultMode>);

impl TestSource {
    /// Sets the fault.
    pub fn set_fault(&self, mode: FaultMode) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = mode;
    }

    fn check(&self) -> Result<(), SourceError> {
        let secret = || "password=hunter2".into();
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            FaultMode::None | FaultMode::DamagedImage => Ok(()),
            FaultMode::Unavailable(retry_after) => Err(SourceError::Unavailable { retry_after, source: secret() }),
            FaultMode::Timeout => Err(SourceError::Timeout(secret())),
            FaultMode::Unusable => Err(SourceError::Unusable(secret())),
        }
    }
}

#[async_trait]
impl DogSource for TestSource {
    async fn breeds(&self) -> Result<Vec<Breed>, SourceError> {
        self.check()?;
        Ok(["hound-afghan", "husky"].map(|breed| breed.parse().unwrap()).to_vec())
    }

    async fn picture(&self, breed: &Breed, _: u64) -> Result<Option<Picture>, SourceError> {
        let known = self.breeds().await?.contains(breed);
        let mut bytes = images::jpeg(breed.as_str());
        if *self.0.lock().unwrap_or_else(PoisonError::into_inner) == FaultMode::DamagedImage {
            bytes.truncate(bytes.len() / 2);
        }
        let picture = || Picture { bytes: bytes.into(), url: None };
        Ok(known.then(picture))
    }
}
