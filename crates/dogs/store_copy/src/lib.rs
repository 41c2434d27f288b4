//! Copies one store to another while the service runs.
//!
//! [`StoreCopy`] copies the dogs and then applies later changes; [`Comparison`] finds the differences between two stores.
//! See `docs/moving-between-stores.md`.

mod affected;
mod compare;
mod copy;
mod page_reader;
mod retry;
mod verify;

pub use compare::{Compared, Comparison, Difference, StoreSummary};
pub use copy::{CopyError, CopyOptions, CopyProgress, StoreCopy};
pub use verify::Verification;

use dogs_storages::Stores;
use kennel_core::{BackendKind as _, RepoError};

use self::retry::retry_unavailable;

/// Dogs or events per page; bounds the memory. With half as many, ClickHouse takes a third longer.
pub const PAGE: u32 = 8_000;

/// An open store that is the source or the target of a copy.
#[derive(Clone)]
pub struct StoreHandle {
    /// Its name.
    pub name: &'static str,
    /// The store.
    pub stores: Stores,
}

impl From<Stores> for StoreHandle {
    fn from(stores: Stores) -> Self {
        Self { name: stores.database.storage.name(), stores }
    }
}

impl StoreHandle {
    /// Runs an idempotent call, and retries it while the store is unavailable.
    async fn call<T, C>(&self, call: impl Fn() -> C) -> Result<T, StoreError>
    where
        C: Future<Output = Result<T, RepoError>>,
    {
        retry_unavailable(call).await.map_err(|source| StoreError { store: self.name, source })
    }
}

/// The source or the target of a copy failed.
#[derive(Debug, thiserror::Error)]
#[error("the store `{store}` failed")]
pub struct StoreError {
    store: &'static str,
    source: RepoError,
}
