//! Events of the Catalogue.

use kennel_core::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{GifId, Refusal, Sha256, event};

/// The topic of the Catalogue's events.
pub const GIF_EVENTS: &str = "gifs.events";

/// A GIF was found whose bytes are to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GifDiscovered {
    /// The GIF.
    pub id: GifId,
    /// The provider, such as `giphy`.
    pub provider: String,
    /// Its id at the provider.
    pub provider_id: String,
    /// Where the provider serves the original GIF.
    pub url: String,
    /// Its width in pixels, if the provider reports it.
    pub width: Option<u32>,
    /// Its height in pixels, if the provider reports it.
    pub height: Option<u32>,
    /// Its size in bytes, if the provider reports it.
    pub size: Option<u64>,
    /// When it was found.
    pub discovered_at: Timestamp,
}

/// The bytes of a GIF were stored or refused; this is final. One of `sha256` and `refusal` is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GifSettled {
    /// The GIF.
    pub id: GifId,
    /// The hash of its stored bytes.
    pub sha256: Option<Sha256>,
    /// Why its bytes were refused.
    pub refusal: Option<Refusal>,
    /// When the Catalogue recorded it.
    pub settled_at: Timestamp,
}

event!(GifDiscovered, "gifs.discovered", GIF_EVENTS);
event!(GifSettled, "gifs.settled", GIF_EVENTS);
