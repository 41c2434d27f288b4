//! A source of dogs whose moods tests choose.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dogs_domain::ports::{Picture, SourceError};
use dogs_domain::{Breed, DogSource};
use kennel_testkit::upstream::pictures;

/// How the source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mood {
    /// Well.
    #[default]
    Well,
    /// Away, for a known time where given.
    Away(Option<Duration>),
    /// Too slow.
    Slow,
    /// Talking nonsense.
    Nonsense,
    /// Handing out pictures that break off.
    Damaged,
}

/// Has pictures of `husky` and `hound-afghan`.
#[derive(Debug, Default)]
pub struct TestSource(Mutex<Mood>);

impl TestSource {
    /// Changes its mood.
    pub fn feel(&self, mood: Mood) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    fn check(&self) -> Result<(), SourceError> {
        let secret = || "password=hunter2".into();
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Mood::Well | Mood::Damaged => Ok(()),
            Mood::Away(retry_after) => Err(SourceError::Unavailable { retry_after, source: secret() }),
            Mood::Slow => Err(SourceError::Timeout(secret())),
            Mood::Nonsense => Err(SourceError::Unusable(secret())),
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
        let mut bytes = pictures::jpeg(breed.as_str());
        if *self.0.lock().unwrap_or_else(PoisonError::into_inner) == Mood::Damaged {
            bytes.truncate(bytes.len() / 2);
        }
        let picture = || Picture { bytes: bytes.into(), url: None };
        Ok(known.then(picture))
    }
}
