//! The bundled animations: GIFs without a network, an account or a license to ask for.

mod drawing;
mod sprites;

use std::sync::LazyLock;

use async_trait::async_trait;
use bytes::Bytes;
use gifs_domain::catalogue::{
    Details, FindRequest, Format, FoundGif, FoundPage, GifKey, GifProvider, Provider, ProviderError, ProviderId,
    Rating, Rendition, RenditionKind, SearchText, Wanted, words,
};
use rand::Rng as _;
use url::Url;

use drawing::{MOTIONS, Motion, SIDE};
use sprites::{SPRITES, Sprite};

/// One animation.
struct Animation {
    id: String,
    title: String,
    tags: Vec<String>,
    sprite: &'static Sprite,
    motion: Motion,
}

/// Every sprite in every motion.
static ANIMATIONS: LazyLock<Vec<Animation>> = LazyLock::new(|| {
    let all = MOTIONS.iter().flat_map(|motion| SPRITES.iter().map(move |sprite| (sprite, *motion)));
    all.map(|(sprite, motion)| Animation {
        id: format!("{}-{}", sprite.name, motion.name()),
        title: format!("{} {}", motion.title(), sprite.name),
        tags: sprite.tags.iter().chain(motion.tags()).map(|tag| (*tag).to_owned()).collect(),
        sprite,
        motion,
    })
    .collect()
});

/// The bytes of an animation, which are always the same; `None` if there is none with this id.
pub(crate) fn bytes(id: &str) -> Option<Bytes> {
    let animation = ANIMATIONS.iter().find(|animation| animation.id == id)?;
    drawing::encode(animation.sprite, animation.motion).map(Bytes::from).ok()
}

/// The bundled animations. A position is a number of items.
pub(super) struct Local {
    /// Where [`crate::http`] serves their bytes, with a slash at the end.
    pub(super) base: Url,
}

#[async_trait]
impl GifProvider for Local {
    fn provider(&self) -> Provider {
        Provider::Local
    }

    fn stores_media(&self) -> bool {
        true
    }

    fn attribution(&self) -> &'static str {
        "Drawn by Kennel"
    }

    async fn find(&self, request: &FindRequest) -> Result<FoundPage, ProviderError> {
        let mut found: Vec<_> = match &request.wanted {
            Wanted::Search(text) | Wanted::Random(Some(text)) => matching(text),
            Wanted::Trending | Wanted::Random(None) => ANIMATIONS.iter().collect(),
        };
        if matches!(request.wanted, Wanted::Random(_)) && !found.is_empty() {
            let chosen = rand::rng().random_range(0..found.len());
            found = vec![found.swap_remove(chosen)];
        }
        let rest = found.get(request.position as usize..).unwrap_or_default();
        let page = &rest[..rest.len().min(request.size as usize)];
        let gifs = page.iter().filter_map(|animation| self.gif(animation)).collect();
        let next = request.position.saturating_add(request.size);
        Ok(FoundPage { gifs, next: (rest.len() > page.len()).then_some(next) })
    }
}

impl Local {
    fn gif(&self, animation: &Animation) -> Option<FoundGif> {
        let original = Rendition {
            kind: RenditionKind::Original,
            format: Format::Gif,
            url: self.base.join(&format!("{}.gif", animation.id)).ok()?,
            width: Some(u32::from(SIDE)),
            height: Some(u32::from(SIDE)),
            size: None,
        };
        let details = Details {
            title: animation.title.clone(),
            tags: animation.tags.clone(),
            page_url: None,
            attribution: self.attribution().to_owned(),
            renditions: vec![original],
        };
        let key = GifKey { provider: Provider::Local, id: ProviderId::try_from(animation.id.clone()).ok()? };
        Some(FoundGif { key, rating: Rating::G, details: details.cleaned().ok()? })
    }
}

/// The animations with all words of the text, by their titles and tags.
fn matching(text: &SearchText) -> Vec<&'static Animation> {
    let wanted = words(text.as_str());
    let matches = |animation: &&Animation| {
        let known = words(&format!("{} {}", animation.title, animation.tags.join(" ")));
        !wanted.is_empty() && wanted.iter().all(|word| known.contains(word))
    };
    ANIMATIONS.iter().filter(matches).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn there_are_enough_animations_and_each_is_another_one() {
        assert!(ANIMATIONS.len() >= 24, "{}", ANIMATIONS.len());
        let drawn: HashSet<_> = ANIMATIONS.iter().map(|animation| bytes(&animation.id).unwrap()).collect();
        assert_eq!(drawn.len(), ANIMATIONS.len());
        assert!(drawn.iter().all(|bytes| (1_000..20_000).contains(&bytes.len())), "small");
        assert_eq!(bytes("cat-jump"), bytes("cat-jump"));
        assert_eq!(bytes("cat"), None);
    }

    #[test]
    fn each_is_an_endless_animation_that_a_decoder_reads() {
        for animation in ANIMATIONS.iter() {
            let bytes = bytes(&animation.id).unwrap();
            let mut decoder = gif::DecodeOptions::new().read_info(&bytes[..]).unwrap();
            let mut delays = Vec::new();
            while let Some(frame) = decoder.read_next_frame().unwrap() {
                assert_eq!((frame.width, frame.height), (SIDE, SIDE));
                delays.push(frame.delay);
            }
            assert_eq!(delays, [8; 12], "{}", animation.id);
            assert_eq!(decoder.repeat(), gif::Repeat::Infinite);
        }
    }

    #[test]
    fn a_text_is_found_in_titles_and_tags() {
        let ids =
            |text: &str| matching(&text.parse().unwrap()).iter().map(|found| found.id.as_str()).collect::<Vec<_>>();
        assert_eq!(ids("CAT"), ["cat-jump", "cat-spin", "cat-dance", "cat-party"]);
        assert_eq!(ids("dancing cat"), ["cat-dance"]);
        assert!(ids("animal").len() >= 8);
        assert_eq!(ids("🐕"), [] as [&str; 0]);
        assert_eq!(ids("unicorn"), [] as [&str; 0]);
    }
}
