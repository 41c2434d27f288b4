//! The messages of `gifs.v1`, from the types of the domain and back.

use gifs_domain::catalogue::{Format, Gif, GifState, MediaFacts, Origin, Rating, Rendition, RenditionKind, StateName};
use kennel_core::Timestamp;
use kennel_proto::convert::{duration, timestamp};
use kennel_proto::gifs::v1 as pb;

pub(super) const fn rating(rating: pb::Rating) -> Rating {
    match rating {
        pb::Rating::Unspecified | pb::Rating::G => Rating::G,
        pb::Rating::Pg => Rating::Pg,
        pb::Rating::Pg13 => Rating::Pg13,
        pb::Rating::R => Rating::R,
    }
}

/// The state to select; `None` for all.
pub(super) const fn state_name(state: pb::State) -> Option<StateName> {
    match state {
        pb::State::Unspecified => None,
        pb::State::Known => Some(StateName::Known),
        pb::State::Fetching => Some(StateName::Fetching),
        pb::State::Stored => Some(StateName::Stored),
        pb::State::Refused => Some(StateName::Refused),
    }
}

const fn state(state: &GifState) -> pb::State {
    match state {
        GifState::Known => pb::State::Known,
        GifState::Fetching => pb::State::Fetching,
        GifState::Stored(_) => pb::State::Stored,
        GifState::Refused(_) => pb::State::Refused,
    }
}

pub(super) fn gif(gif: Gif) -> pb::Gif {
    let Gif { id, key, rating: _, details, state: current, created_at, updated_at } = gif;
    let state = state(&current).into();
    let (media, refusal) = match current {
        GifState::Known | GifState::Fetching => (None, String::new()),
        GifState::Stored(facts) => (Some(media(facts)), String::new()),
        GifState::Refused(refusal) => (None, refusal.to_string()),
    };
    pb::Gif {
        id: id.to_string(),
        provider: key.provider.name().to_owned(),
        provider_id: key.id.as_str().to_owned(),
        title: details.title,
        tags: details.tags,
        page_url: details.page_url.map(String::from).unwrap_or_default(),
        attribution: details.attribution,
        renditions: details.renditions.into_iter().map(rendition).collect(),
        state,
        refusal,
        media,
        created_at: Some(timestamp(created_at.as_millis())),
        updated_at: Some(timestamp(updated_at.as_millis())),
    }
}

fn media(facts: MediaFacts) -> pb::StoredMedia {
    let MediaFacts { sha256, size, width, height, frames, duration_ms } = facts;
    pb::StoredMedia { sha256: sha256.into(), size, width, height, frames, duration_ms }
}

fn rendition(rendition: Rendition) -> pb::Rendition {
    let kind = match rendition.kind {
        RenditionKind::Original => pb::RenditionKind::Original,
        RenditionKind::Small => pb::RenditionKind::Small,
        RenditionKind::Still => pb::RenditionKind::Still,
    };
    let format = match rendition.format {
        Format::Gif => pb::Format::Gif,
        Format::Webp => pb::Format::Webp,
        Format::Mp4 => pb::Format::Mp4,
    };
    pb::Rendition {
        kind: kind.into(),
        format: format.into(),
        url: rendition.url.into(),
        width: rendition.width.unwrap_or_default(),
        height: rendition.height.unwrap_or_default(),
        size: rendition.size.unwrap_or_default(),
    }
}

pub(super) fn source(origin: Origin, attribution: String, at: Timestamp) -> pb::Source {
    let fetched_at = Some(timestamp(at.as_millis()));
    match origin {
        Origin::Provider(provider) => pb::Source {
            origin: pb::Origin::Provider.into(),
            provider: provider.name().to_owned(),
            attribution,
            fetched_at,
            retry_after: None,
        },
        Origin::Catalogue { retry_after } => pb::Source {
            origin: pb::Origin::Catalogue.into(),
            attribution,
            fetched_at,
            retry_after: Some(duration(retry_after)),
            ..Default::default()
        },
    }
}
