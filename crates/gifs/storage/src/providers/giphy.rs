//! GIPHY, by version 1 of its API.

use async_trait::async_trait;
use gifs_domain::catalogue::{
    Details, FindRequest, Format, FoundGif, FoundPage, GifKey, GifProvider, Provider, ProviderError, ProviderId,
    Rating, Rendition, RenditionKind, Wanted,
};
use serde_json::Value;
use url::Url;

use super::json::{items, number, rendition, tags, text, url};
use super::upstream::{Upstream, common, malformed};

/// The last position that it accepts.
const MAX_POSITION: u32 = 4_999;

/// GIPHY.
pub(super) struct Giphy {
    pub(super) upstream: Upstream,
    pub(super) stores_media: bool,
}

#[async_trait]
impl GifProvider for Giphy {
    fn provider(&self) -> Provider {
        Provider::Giphy
    }

    fn stores_media(&self) -> bool {
        self.stores_media
    }

    fn attribution(&self) -> &'static str {
        "Powered By GIPHY"
    }

    async fn find(&self, request: &FindRequest) -> Result<FoundPage, ProviderError> {
        let response = self.upstream.get(&self.request(request)).await?;
        // It answers 200 with an error; the official client also takes a missing `response_id` as one.
        if text(&response, "/meta/response_id").is_none() {
            return Err(malformed("the response has no id"));
        }
        let data = response.pointer("/data").ok_or_else(|| malformed("the response has no data"))?;
        let gifs = match (&request.wanted, data) {
            // One object, or an empty list when nothing matches.
            (Wanted::Random(_), Value::Object(_)) => gif(data, request.rating).into_iter().collect(),
            (_, Value::Array(items)) => items.iter().filter_map(|item| gif(item, request.rating)).collect(),
            _ => return Err(malformed("the data is not a list")),
        };
        Ok(FoundPage { gifs, next: next(&response, request) })
    }
}

impl Giphy {
    fn request(&self, request: &FindRequest) -> Url {
        let (rating, size) = common(request);
        let (size, position) = (size.to_string(), request.position.to_string());
        let language = request.language.map(|language| language.to_string());
        let mut query = vec![("api_key", self.upstream.key()), ("rating", rating)];
        let endpoint = match &request.wanted {
            Wanted::Search(text) => {
                query.extend([("q", text.as_str()), ("limit", &size), ("offset", &position)]);
                query.extend(language.as_deref().map(|language| ("lang", language)));
                "search"
            }
            Wanted::Trending => {
                query.extend([("limit", size.as_str()), ("offset", &position)]);
                "trending"
            }
            Wanted::Random(tag) => {
                query.extend(tag.as_ref().map(|tag| ("tag", tag.as_str())));
                "random"
            }
        };
        self.upstream.url(&["gifs", endpoint], &query)
    }
}

/// The position of the next page: after the items of this one, advertisements and unusable ones included.
fn next(response: &Value, request: &FindRequest) -> Option<u32> {
    let count = u32::try_from(items(response, "/data").len()).ok().filter(|count| *count > 0)?;
    let next = request.position.checked_add(count)?;
    let total: u32 = number(response, "/pagination/total_count")?;
    (next < total.min(MAX_POSITION)).then_some(next)
}

fn gif(item: &Value, requested: Rating) -> Option<FoundGif> {
    if text(item, "/type").is_some_and(|kind| kind == "ad") {
        return None;
    }
    let id = ProviderId::try_from(text(item, "/id")?).ok()?;
    let attribution = match text(item, "/user/display_name").or_else(|| text(item, "/username")) {
        Some(name) => format!("{name} on GIPHY"),
        None => "GIPHY".to_owned(),
    };
    let details = Details {
        title: text(item, "/title").unwrap_or_default(),
        tags: tags(item),
        page_url: url(item, "/url"),
        attribution,
        renditions: renditions(item.pointer("/images")?),
    };
    let rating = text(item, "/rating").and_then(|rating| rating.to_lowercase().parse().ok()).unwrap_or(requested);
    Some(FoundGif { key: GifKey { provider: Provider::Giphy, id }, rating, details: details.cleaned().ok()? })
}

fn renditions(images: &Value) -> Vec<Rendition> {
    use Format::{Gif, Mp4, Webp};
    use RenditionKind::{Original, Small, Still};

    let files = [
        ("/original", "/url", "/size", Original, Gif),
        ("/original", "/webp", "/webp_size", Original, Webp),
        ("/original", "/mp4", "/mp4_size", Original, Mp4),
        ("/downsized", "/url", "/size", Small, Gif),
        ("/fixed_width", "/url", "/size", Small, Gif),
        ("/fixed_width", "/webp", "/webp_size", Small, Webp),
        ("/fixed_width_still", "/url", "/size", Still, Gif),
    ];
    let file = |(name, url, size, kind, format): (&str, _, _, _, _)| {
        let mut rendition = rendition(images.pointer(name)?, url, size, kind, format)?;
        // The query has the endpoint and the session, so that one file would have many URLs.
        rendition.url.set_query(None);
        Some(rendition)
    };
    files.into_iter().filter_map(file).collect()
}
