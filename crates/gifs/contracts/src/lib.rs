//! What the three services of the GIF pipeline agree on.
//!
//! | service | context | owns | serves |
//! |---|---|---|---|
//! | `gif-api` | Requests | queries and how they were answered | HTTP |
//! | `gif-storage` | Catalogue | every GIF that a provider ever returned | gRPC `gifs.v1.Catalogue` |
//! | `gif-files` | Media | the bytes, by their SHA-256 | gRPC `gifs.v1.Media` |
//!
//! They meet at two points. Calls are those of `proto/gifs/v1`, generated in `kennel_proto::gifs::v1`: gif-api searches with
//! `Catalogue.Search`, reads `Gif.media.sha256` and opens the bytes with `Media.OpenBlob`. Events are the types of this
//! crate, as JSON in the envelope of `kennel_core::Event`:
//!
//! ```text
//! Catalogue ── gifs.discovered ──► Media            topic gifs.events
//! Catalogue ◄── media.stored ───── Media            topic media.events
//! Catalogue ◄── media.refused ──── Media            topic media.events
//! Catalogue ── gifs.settled ─────► whoever watches  topic gifs.events
//! ```
//!
//! A topic belongs to the service that publishes to it. The subject of every event is the id of the GIF, so that the events of
//! one GIF in one topic are delivered in order. Every event is delivered at least once; both sides are idempotent: Media
//! answers a second `gifs.discovered` of a GIF with what it answered first, and the Catalogue changes the state of a GIF
//! only forward. For each `gifs.discovered` Media publishes one of its two events, unless the event becomes a dead letter;
//! replaying that continues where it stopped.
//!
//! No event contains a key of a provider or the bytes of a GIF. Media downloads every file from [`GifDiscovered::url`]. For the
//! provider `local` that is gif-storage itself, at `/local/<id>.gif` below its `PUBLIC_URL`, in one process as in three. Its
//! address is private in most installations, so the address policy of gif-files needs an exception for it, which an operator
//! sets; nothing is excepted by the name of a provider, which is only data.
//!
//! These types are a public contract: a field may be added, anything else is a new event name.

mod catalogue;
mod media;

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use catalogue::{GIF_EVENTS, GifDiscovered, GifSettled};
pub use media::{InvalidSha256, MEDIA_EVENTS, MediaRefused, MediaStored, Refusal, Sha256};

/// The id of a GIF in the catalogue: UUID version 7, so that ids sort by the time at which it was first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct GifId(pub Uuid);

impl fmt::Display for GifId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for GifId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Implements [`kennel_core::EventType`] for events whose subject is the field `id`.
macro_rules! event {
    ($type:ty, $name:literal, $topic:expr) => {
        impl kennel_core::EventType for $type {
            const NAME: &'static str = $name;
            const TOPIC: &'static str = $topic;

            type Codec = kennel_core::codec::Json;

            fn key(&self) -> String {
                self.id.to_string()
            }
        }
    };
}
use event;
