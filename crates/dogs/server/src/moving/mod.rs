//! Moving from one store to another while the service runs: [`struct@Copy`] brings the dogs over and follows what
//! happens to them, [`Comparison`] tells what differs. See `docs/moving-between-stores.md`.

mod compare;
mod copy;
mod events;
mod patience;
mod side;
mod verify;

pub use compare::{Compared, Comparison, Difference, Total};
pub use copy::{Copy, CopyError, Options, Told};
pub use verify::Verdict;

use dogs_storages::Stores;
use kennel_core::{BackendKind as _, RepoError};

use self::patience::patiently;

/// Dogs in hand at once, and events: bounds the memory. ClickHouse is a third dearer with half as many.
pub const PAGE: u32 = 8_000;

/// A store at one end of a move.
#[derive(Clone)]
pub struct End {
    /// Its name.
    pub name: &'static str,
    /// The store.
    pub stores: Stores,
}

impl From<Stores> for End {
    fn from(stores: Stores) -> Self {
        Self { name: stores.storage.name(), stores }
    }
}

impl End {
    /// Makes a call to the store that may be made again without harm; waits while the store is away.
    async fn ask<T, C>(&self, call: impl Fn() -> C) -> Result<T, StoreError>
    where
        C: Future<Output = Result<T, RepoError>>,
    {
        patiently(call).await.map_err(|source| StoreError { store: self.name, source })
    }
}

/// A store at one end failed.
#[derive(Debug, thiserror::Error)]
#[error("the store `{store}` failed")]
pub struct StoreError {
    store: &'static str,
    source: RepoError,
}
