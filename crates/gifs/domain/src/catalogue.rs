//! The Catalogue: every GIF that a provider ever returned, and whether its bytes are stored.

mod model;
mod words;

pub use model::{
    Details, Format, Gif, GifKey, GifState, InvalidRating, MediaFacts, Provider, ProviderId, Rating, Rendition,
    RenditionKind, StateName, UnknownName, UnusableGif,
};
pub use words::words;
