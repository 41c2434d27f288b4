//! Media: the bytes of GIFs, stored once under their hash, with a poster and a small version.

mod model;
mod ports;
mod reconcile;
mod service;

pub use model::{Blob, Outcome, PREFIX, StoredFile, Variant, Verdict, file_key};
pub use ports::{
    BlobRepository, CatalogueGif, CataloguePage, CatalogueReader, CatalogueState, FetchError, Fetched, Fetcher,
    NewFile, Settling,
};
pub use reconcile::{Difference, Finding, Options, Progress, Reconciliation, Subject};
pub use service::{MediaError, MediaPorts, MediaService, SOURCE};
