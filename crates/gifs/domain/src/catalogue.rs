//! The Catalogue: every GIF that a provider ever returned, and whether its bytes are stored.

mod details;
mod model;
mod ports;
mod query;
mod service;
mod words;

pub use details::{Details, Format, Rendition, RenditionKind, UnusableGif};
pub use model::{
    Gif, GifKey, GifState, InvalidRating, MediaFacts, Provider, ProviderId, Rating, StateName, UnknownName,
};
pub use ports::{
    Discovery, FindRequest, FoundGif, FoundPage, GifProvider, GifQuery, GifRepository, ProviderError, Settled,
    Settlement, Wanted,
};
pub use query::{InvalidLanguage, InvalidPosition, InvalidSearchText, Language, Position, SearchText};
pub use service::{CatalogueError, CatalogueService, Found, Origin, SOURCE};
pub use words::words;
