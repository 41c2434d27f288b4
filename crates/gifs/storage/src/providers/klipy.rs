//! KLIPY. Its key is a segment of the path.

use async_trait::async_trait;
use gifs_domain::catalogue::{
    Details, FindRequest, Format, FoundGif, FoundPage, GifKey, GifProvider, Provider, ProviderError, ProviderId,
    Rating, Rendition, RenditionKind, Wanted,
};
use serde_json::Value;
use url::Url;

use super::json::{rendition, tags, text};
use super::upstream::{Upstream, common, malformed};

/// The smallest page that it accepts.
const MIN_SIZE: u32 = 8;

/// KLIPY. A position is a number of items.
pub(super) struct Klipy {
    pub(super) upstream: Upstream,
    pub(super) stores_media: bool,
}

#[async_trait]
impl GifProvider for Klipy {
    fn provider(&self) -> Provider {
        Provider::Klipy
    }

    fn stores_media(&self) -> bool {
        self.stores_media
    }

    fn attribution(&self) -> &'static str {
        "Powered by KLIPY"
    }

    async fn find(&self, request: &FindRequest) -> Result<FoundPage, ProviderError> {
        let response = self.upstream.get(&self.request(request)).await?;
        if response.pointer("/result") != Some(&Value::Bool(true)) {
            return Err(malformed("the response is not a result"));
        }
        let Some(Value::Array(all)) = response.pointer("/data/data") else {
            return Err(malformed("the data is not a list"));
        };
        let (skipped, size) = (request.position % page_size(request), request.size.min(FindRequest::MAX_SIZE));
        let rest = all.get(skipped as usize..).unwrap_or_default();
        let items = rest.get(..size as usize).unwrap_or(rest);
        let has_next = response.pointer("/data/has_next") == Some(&Value::Bool(true));
        let has_more = !items.is_empty() && (rest.len() > items.len() || has_next);
        let next = u32::try_from(items.len()).ok().and_then(|count| request.position.checked_add(count));
        Ok(FoundPage {
            gifs: items.iter().filter_map(|item| gif(item, request.rating)).collect(),
            next: next.filter(|_| has_more && !matches!(request.wanted, Wanted::Random(_))),
        })
    }
}

/// The size of the pages at KLIPY for a request.
fn page_size(request: &FindRequest) -> u32 {
    common(request).1.max(MIN_SIZE)
}

impl Klipy {
    fn request(&self, request: &FindRequest) -> Url {
        let size = page_size(request);
        let (page, per_page) = ((request.position / size + 1).to_string(), size.to_string());
        let language = request.language.map(|language| language.to_string());
        let mut query = vec![("page", page.as_str()), ("per_page", &per_page), ("rating", request.rating.name())];
        query.extend(language.as_deref().map(|language| ("locale", language)));
        let endpoint = match &request.wanted {
            // It has no random endpoint: the service chooses from the page.
            Wanted::Search(text) | Wanted::Random(Some(text)) => {
                query.push(("q", text.as_str()));
                "search"
            }
            Wanted::Trending | Wanted::Random(None) => "trending",
        };
        self.upstream.url(&[self.upstream.key(), "gifs", endpoint], &query)
    }
}

fn gif(item: &Value, requested: Rating) -> Option<FoundGif> {
    if text(item, "/type").is_some_and(|kind| kind != "gif") {
        return None;
    }
    let id = ProviderId::try_from(text(item, "/id")?).ok()?;
    let details = Details {
        title: text(item, "/title").unwrap_or_default(),
        tags: tags(item),
        page_url: None,
        attribution: "KLIPY".to_owned(),
        renditions: renditions(item.pointer("/file")?),
    };
    let rating = text(item, "/rating").and_then(|rating| rating.to_lowercase().parse().ok()).unwrap_or(requested);
    Some(FoundGif { key: GifKey { provider: Provider::Klipy, id }, rating, details: details.cleaned().ok()? })
}

/// Its tiers are not ordered by size: the file with most pixels is the original, others are small.
fn renditions(tiers: &Value) -> Vec<Rendition> {
    let formats = [("gif", Format::Gif), ("webp", Format::Webp), ("mp4", Format::Mp4)];
    let mut all = Vec::new();
    for (name, format) in formats {
        let file = |tier: &str| {
            let file = tiers.pointer(&format!("/{tier}/{name}"))?;
            rendition(file, "/url", "/size", RenditionKind::Small, format)
        };
        let mut files: Vec<_> = ["hd", "md", "sm", "xs"].into_iter().filter_map(file).collect();
        let pixels = |file: &Rendition| u64::from(file.width.unwrap_or(0)) * u64::from(file.height.unwrap_or(0));
        files.sort_by_key(|file| std::cmp::Reverse(pixels(file)));
        if let Some(largest) = files.first_mut() {
            largest.kind = RenditionKind::Original;
        }
        all.extend(files);
    }
    all
}
