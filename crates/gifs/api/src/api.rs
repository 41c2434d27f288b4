//! What clients see: GIFs, and pages of them.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use kennel_core::Timestamp;
use kennel_http::UrlBuilder;
use kennel_proto::convert::millis;
use kennel_proto::gifs::v1 as pb;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A page of GIFs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct GifPage {
    /// The GIFs, in the order of the provider.
    pub(crate) items: Vec<GifResponse>,
    /// The cursor of the next page; null on the last page.
    #[schema(required = true)]
    pub(crate) next: Option<String>,
    /// Where the page is from; null if nothing matches.
    #[schema(required = true)]
    pub(crate) source: Option<SourceResponse>,
}

/// A page in the cache: clones share it, and its JSON is created once.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "GifPage", into = "GifPage")]
pub(crate) struct CachedPage(Arc<PageAndJson>);

#[derive(Debug, Default)]
struct PageAndJson {
    page: GifPage,
    json: OnceLock<Bytes>,
}

impl CachedPage {
    /// The page as JSON.
    pub(crate) fn json(&self) -> Result<Bytes, serde_json::Error> {
        if let Some(json) = self.0.json.get() {
            return Ok(json.clone());
        }
        let json = Bytes::from(serde_json::to_vec(&self.0.page)?);
        Ok(self.0.json.get_or_init(|| json).clone())
    }
}

impl Deref for CachedPage {
    type Target = GifPage;

    fn deref(&self) -> &GifPage {
        &self.0.page
    }
}

impl From<GifPage> for CachedPage {
    fn from(page: GifPage) -> Self {
        Self(Arc::new(PageAndJson { page, json: OnceLock::new() }))
    }
}

impl From<CachedPage> for GifPage {
    fn from(cached: CachedPage) -> Self {
        cached.0.page.clone()
    }
}

/// Where GIFs are from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct SourceResponse {
    /// The provider that answered; null if none did, and the GIFs are from the own catalogue.
    #[schema(required = true)]
    pub(crate) provider: Option<String>,
    /// Text that has to be shown next to the GIFs; may be empty.
    pub(crate) attribution: String,
    /// When it answered.
    #[schema(value_type = String, format = "date-time")]
    pub(crate) fetched_at: Timestamp,
}

/// A GIF.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct GifResponse {
    /// Its id.
    #[schema(format = "uuid")]
    pub(crate) id: String,
    /// Title; may be empty.
    pub(crate) title: String,
    /// Tags, in lower case.
    pub(crate) tags: Vec<String>,
    /// The provider, such as `giphy`.
    pub(crate) provider: String,
    /// Its page at the provider.
    #[schema(required = true)]
    pub(crate) page_url: Option<String>,
    /// Text that has to be shown next to the GIF; may be empty.
    pub(crate) attribution: String,
    /// Width in pixels, if known.
    #[schema(required = true)]
    pub(crate) width: Option<u32>,
    /// Height in pixels, if known.
    #[schema(required = true)]
    pub(crate) height: Option<u32>,
    /// Whether its files were stored when it was found.
    pub(crate) state: GifState,
    /// Its files: ours, or those of the provider if we do not store them.
    pub(crate) files: FilesResponse,
}

/// Whether the files of a GIF are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GifState {
    /// They stay at the provider.
    Known,
    /// They are being stored, which takes a moment.
    Fetching,
    /// They are stored.
    Stored,
    /// They cannot be stored.
    Refused,
}

/// The URLs of the files of a GIF.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct FilesResponse {
    /// The original.
    #[schema(required = true)]
    pub(crate) original: Option<String>,
    /// A small GIF.
    #[schema(required = true)]
    pub(crate) small: Option<String>,
    /// A still image.
    #[schema(required = true)]
    pub(crate) poster: Option<String>,
}

impl GifResponse {
    pub(crate) fn new(gif: pb::Gif, urls: &UrlBuilder) -> Self {
        let original = rendition(&gif, pb::RenditionKind::Original).or_else(|| gif.renditions.first());
        let size = match (&gif.media, original) {
            (Some(media), _) => (media.width, media.height),
            (None, Some(original)) => (original.width, original.height),
            (None, None) => (0, 0),
        };
        let known = |number: u32| Some(number).filter(|number| *number > 0);
        Self {
            width: known(size.0),
            height: known(size.1),
            state: state(gif.state()),
            files: files(&gif, urls),
            id: gif.id,
            title: gif.title,
            tags: gif.tags,
            provider: gif.provider,
            page_url: Some(gif.page_url).filter(|url| !url.is_empty()),
            attribution: gif.attribution,
        }
    }
}

impl SourceResponse {
    pub(crate) fn new(source: pb::Source, now: Timestamp) -> Self {
        let fetched_at = source.fetched_at.as_ref().and_then(millis).map(Timestamp::from_millis);
        Self {
            provider: Some(source.provider).filter(|provider| !provider.is_empty()),
            attribution: source.attribution,
            fetched_at: fetched_at.and_then(Result::ok).unwrap_or(now),
        }
    }
}

/// A newer version of the catalogue may have further states: what is not known to be stored is linked to.
const fn state(state: pb::State) -> GifState {
    match state {
        pb::State::Unspecified | pb::State::Known => GifState::Known,
        pb::State::Fetching => GifState::Fetching,
        pb::State::Stored => GifState::Stored,
        pb::State::Refused => GifState::Refused,
    }
}

/// The first file at the provider that is of this kind.
fn rendition(gif: &pb::Gif, kind: pb::RenditionKind) -> Option<&pb::Rendition> {
    gif.renditions.iter().find(|rendition| rendition.kind() == kind)
}

fn files(gif: &pb::Gif, urls: &UrlBuilder) -> FilesResponse {
    if matches!(state(gif.state()), GifState::Fetching | GifState::Stored) {
        let url = |variant: &str| Some(urls.url(format_args!("/api/v1/gifs/{}/file?variant={variant}", gif.id)));
        return FilesResponse { original: url("original"), small: url("small"), poster: url("poster") };
    }
    let at_provider = |kind| rendition(gif, kind).map(|rendition| rendition.url.clone());
    FilesResponse {
        original: at_provider(pb::RenditionKind::Original),
        small: at_provider(pb::RenditionKind::Small),
        poster: at_provider(pb::RenditionKind::Still),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gif(state: pb::State) -> pb::Gif {
        let rendition = |kind: pb::RenditionKind, url: &str| pb::Rendition {
            kind: kind.into(),
            url: url.to_owned(),
            width: 200,
            ..Default::default()
        };
        pb::Gif {
            id: "01900000-0000-7000-8000-000000000000".to_owned(),
            renditions: vec![
                rendition(pb::RenditionKind::Small, "https://cdn.example/small"),
                rendition(pb::RenditionKind::Original, "https://cdn.example/original"),
            ],
            state: state.into(),
            ..Default::default()
        }
    }

    #[test]
    fn files_are_ours_if_they_are_stored_and_otherwise_the_providers() {
        let urls = UrlBuilder::new("https://gifs.example");
        for state in [pb::State::Fetching, pb::State::Stored] {
            let original = GifResponse::new(gif(state), &urls).files.original.unwrap();
            let expected =
                "https://gifs.example/api/v1/gifs/01900000-0000-7000-8000-000000000000/file?variant=original";
            assert_eq!(original, expected);
        }
        for state in [pb::State::Known, pb::State::Refused] {
            let files = GifResponse::new(gif(state), &urls).files;
            assert_eq!(files.original.as_deref(), Some("https://cdn.example/original"));
            assert_eq!((files.small.as_deref(), files.poster), (Some("https://cdn.example/small"), None));
        }
    }

    #[test]
    fn a_cached_page_is_its_page_in_the_cache_and_for_clients() {
        let cached = CachedPage::from(GifPage { next: Some("giphy.25".to_owned()), ..GifPage::default() });
        let json = serde_json::to_vec(&*cached).unwrap();
        assert_eq!((&cached.json().unwrap()[..], serde_json::to_vec(&cached).unwrap()), (&json[..], json.clone()));
        let read: CachedPage = serde_json::from_slice(&json).unwrap();
        assert_eq!(*read, *cached);
    }

    #[test]
    fn what_is_not_known_is_null() {
        let shown = GifResponse::new(gif(pb::State::Known), &UrlBuilder::new("https://gifs.example"));
        assert_eq!((shown.width, shown.height, shown.page_url), (Some(200), None, None));
    }
}
