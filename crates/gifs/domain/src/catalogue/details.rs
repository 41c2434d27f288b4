//! What a provider says about a GIF.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use url::Url;

use super::words::words;

/// What a rendition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RenditionKind {
    /// The original, or the largest that the provider has.
    Original,
    /// A smaller one, for lists.
    Small,
    /// A still image.
    Still,
}

/// Format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// GIF.
    Gif,
    /// WebP.
    Webp,
    /// MPEG-4.
    Mp4,
}

/// One file of a GIF at its provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendition {
    /// What it is for.
    pub kind: RenditionKind,
    /// Its format.
    pub format: Format,
    /// Where it is: an `http` or `https` URL without a user name and password.
    pub url: Url,
    /// Width in pixels, if the provider reports it.
    pub width: Option<u32>,
    /// Height in pixels, if the provider reports it.
    pub height: Option<u32>,
    /// Size in bytes, if the provider reports it.
    pub size: Option<u64>,
}

impl Rendition {
    fn is_usable(&self) -> bool {
        let url = &self.url;
        let is_web = matches!(url.scheme(), "http" | "https") && url.as_str().len() <= 2_048;
        is_web && url.username().is_empty() && url.password().is_none()
    }
}

/// Why an item of a provider is not added to the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnusableGif {
    /// Its id is not a [`ProviderId`](super::ProviderId).
    #[error("its id must be 1 to 100 printable characters")]
    Id,
    /// None of its usable renditions is a GIF.
    #[error("it has no rendition that is a GIF")]
    NoRendition,
}

/// What a provider says about a GIF.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// Title, at most 300 characters; may be empty.
    pub title: String,
    /// Tags in lower case, sorted, each once: at most 30 of at most 50 characters.
    pub tags: Vec<String>,
    /// Its page at the provider.
    pub page_url: Option<Url>,
    /// Text that has to be shown next to the GIF; may be empty.
    pub attribution: String,
    /// Its files: at least one is a GIF.
    pub renditions: Vec<Rendition>,
}

impl Details {
    const MAX_TITLE: usize = 300;
    const MAX_TAGS: usize = 30;
    const MAX_TAG: usize = 50;

    /// Brings what a provider says into this form: cuts texts, removes control characters, and drops what is empty and
    /// renditions that cannot be used.
    pub fn cleaned(self) -> Result<Self, UnusableGif> {
        let tags = self.tags.iter().map(|tag| clean(tag, Self::MAX_TAG).to_lowercase()).filter(|tag| !tag.is_empty());
        let tags: BTreeSet<String> = tags.take(Self::MAX_TAGS).collect();
        let mut renditions = self.renditions;
        renditions.retain(Rendition::is_usable);
        if renditions.iter().all(|rendition| rendition.format != Format::Gif) {
            return Err(UnusableGif::NoRendition);
        }
        let page_url = self.page_url.filter(|url| matches!(url.scheme(), "http" | "https"));
        let title = clean(&self.title, Self::MAX_TITLE);
        Ok(Self { title, tags: tags.into_iter().collect(), page_url, renditions, ..self })
    }

    /// The GIF of which the bytes are stored: the original, else the one with most pixels.
    pub fn original(&self) -> Option<&Rendition> {
        let gifs = self.renditions.iter().filter(|rendition| rendition.format == Format::Gif);
        let pixels = |rendition: &Rendition| u64::from(rendition.width?).checked_mul(u64::from(rendition.height?));
        gifs.max_by_key(|rendition| (rendition.kind == RenditionKind::Original, pixels(rendition)))
    }

    /// The words by which the GIF is found.
    pub fn words(&self) -> Vec<String> {
        words(&format!("{} {}", self.title, self.tags.join(" ")))
    }
}

/// The text without control characters and with single spaces, cut to `max` characters.
fn clean(text: &str, max: usize) -> String {
    let text = text.split(|char: char| char.is_whitespace() || char.is_control()).filter(|word| !word.is_empty());
    let text: String = text.collect::<Vec<_>>().join(" ").chars().take(max).collect();
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendition(kind: RenditionKind, format: Format, url: &str, side: Option<u32>) -> Rendition {
        Rendition { kind, format, url: url.parse().unwrap(), width: side, height: side, size: None }
    }

    fn details(title: &str, tags: &[&str], renditions: Vec<Rendition>) -> Details {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Details { title: title.to_owned(), tags, page_url: None, attribution: String::new(), renditions }
    }

    fn gif(url: &str) -> Vec<Rendition> {
        vec![rendition(RenditionKind::Original, Format::Gif, url, None)]
    }

    #[test]
    fn what_a_provider_says_is_cleaned() {
        let long = "é".repeat(400);
        let given = details(&long, &["B", " a\u{7}  c ", "", "b", "\n"], gif("https://a.example/1.gif"));
        let cleaned = given.cleaned().unwrap();
        assert_eq!(cleaned.title, "é".repeat(300));
        assert_eq!(cleaned.tags, ["a c", "b"]);
        assert_eq!(details(" a \u{0}b\t", &[], gif("https://a.example/1.gif")).cleaned().unwrap().title, "a b");
    }

    #[test]
    fn a_gif_without_a_usable_rendition_is_refused() {
        for url in
            ["ftp://a.example/1.gif", "https://me:secret@a.example/1.gif", "https://me@a.example/1.gif", "data:,"]
        {
            assert_eq!(details("", &[], gif(url)).cleaned(), Err(UnusableGif::NoRendition), "{url}");
        }
        let video = vec![rendition(RenditionKind::Original, Format::Mp4, "https://a.example/1.mp4", None)];
        assert_eq!(details("", &[], video).cleaned(), Err(UnusableGif::NoRendition));
        assert_eq!(details("", &[], Vec::new()).cleaned(), Err(UnusableGif::NoRendition));
    }

    #[test]
    fn the_original_or_the_largest_gif_is_stored() {
        let small =
            |side| rendition(RenditionKind::Small, Format::Gif, &format!("https://a.example/{side}"), Some(side));
        let video = rendition(RenditionKind::Original, Format::Mp4, "https://a.example/1.mp4", Some(900));
        let given = details("", &[], vec![small(20), small(90), small(50), video]);
        assert_eq!(given.original().unwrap().url.path(), "/90");
        let mut with_original = given;
        with_original.renditions.push(gif("https://a.example/original").remove(0));
        assert_eq!(with_original.original().unwrap().url.path(), "/original");
    }
}
