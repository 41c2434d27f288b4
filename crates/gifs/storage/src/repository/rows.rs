//! The values in the rows of every store.

use gifs_contracts::Refusal;
use gifs_domain::catalogue::{GifKey, GifState, ProviderId, StateName};
use kennel_core::RepoError;

/// The columns `facts` and `refusal`.
pub(super) fn outcome(state: &GifState) -> Result<(Option<String>, Option<String>), RepoError> {
    Ok(match state {
        GifState::Known | GifState::Fetching => (None, None),
        GifState::Stored(facts) => (Some(json(facts)?), None),
        GifState::Refused(refusal) => (None, Some(refusal.as_str().to_owned())),
    })
}

/// The state, from its name and the columns `facts` and `refusal`.
pub(super) fn state(name: &str, facts: Option<&str>, refusal: Option<&str>) -> Result<GifState, RepoError> {
    Ok(match name.parse().map_err(RepoError::corrupt)? {
        StateName::Known => GifState::Known,
        StateName::Fetching => GifState::Fetching,
        StateName::Stored => {
            GifState::Stored(serde_json::from_str(facts.unwrap_or_default()).map_err(RepoError::corrupt)?)
        }
        StateName::Refused => GifState::Refused(Refusal::from(refusal.unwrap_or_default())),
    })
}

pub(super) fn key(provider: &str, id: String) -> Result<GifKey, RepoError> {
    Ok(GifKey {
        provider: provider.parse().map_err(RepoError::corrupt)?,
        id: ProviderId::try_from(id).map_err(RepoError::corrupt)?,
    })
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<String, RepoError> {
    serde_json::to_string(value).map_err(|error| RepoError::Backend(error.into()))
}
