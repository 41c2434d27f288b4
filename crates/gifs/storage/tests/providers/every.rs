//! What every adapter does.

use std::collections::HashSet;

use gifs_domain::catalogue::{FindRequest, Format, Rating, RenditionKind, Wanted};

use crate::scripted::Mode;
use crate::{Fixture, search};

/// A text that matches at least 16 GIFs of every provider.
const COMMON: &str = "animal";

pub(crate) async fn a_search_finds_gifs(fixture: Fixture) {
    let page = fixture.provider.find(&search("cat")).await.unwrap();
    assert!(page.gifs.len() >= 4, "{page:?}");
    for gif in &page.gifs {
        assert_eq!(gif.key.provider, fixture.provider.provider());
        assert!(gif.details.title.to_lowercase().contains("cat"), "{gif:?}");
        assert!(!gif.details.attribution.is_empty(), "{gif:?}");
        assert!(gif.rating <= Rating::Pg, "{gif:?}");
        let original = gif.details.original().unwrap();
        assert_eq!((original.kind, original.format), (RenditionKind::Original, Format::Gif));
        assert!(original.width.is_some() && original.height.is_some());
        assert_eq!(gif.details.clone().cleaned().unwrap(), gif.details, "it is clean");
    }
}

pub(crate) async fn the_original_is_the_largest_gif(fixture: Fixture) {
    for gif in fixture.provider.find(&search("cat")).await.unwrap().gifs {
        let original = gif.details.original().unwrap();
        let gifs = gif.details.renditions.iter().filter(|rendition| rendition.format == Format::Gif);
        assert_eq!(gifs.clone().max_by_key(|rendition| rendition.width), Some(original));
        let originals = gifs.filter(|rendition| rendition.kind == RenditionKind::Original).count();
        assert_eq!(originals, 1);
    }
}

pub(crate) async fn a_gif_is_the_same_whenever_it_is_found(fixture: Fixture) {
    let searched = fixture.provider.find(&search("cat")).await.unwrap().gifs;
    let trending = FindRequest { wanted: Wanted::Trending, size: 50, ..search("cat") };
    let trending = fixture.provider.find(&trending).await.unwrap().gifs;
    assert!(searched.iter().any(|gif| trending.contains(gif)), "{searched:?}");
    assert_eq!(fixture.provider.find(&search("cat")).await.unwrap().gifs, searched);
}

pub(crate) async fn nothing_matches_is_an_empty_page(fixture: Fixture) {
    fixture.server.set(Mode::Empty);
    for wanted in [Wanted::Search("qqzzy".parse().unwrap()), Wanted::Random(Some("qqzzy".parse().unwrap()))] {
        let page = fixture.provider.find(&FindRequest { wanted, ..search("x") }).await.unwrap();
        assert_eq!((page.gifs, page.next), (Vec::new(), None));
    }
}

pub(crate) async fn a_page_has_at_most_the_requested_size(fixture: Fixture) {
    for size in [1, 3, 8, 9, 25, 50] {
        let page = fixture.provider.find(&FindRequest { size, ..search(COMMON) }).await.unwrap();
        assert!((1..=size as usize).contains(&page.gifs.len()), "{size}: {}", page.gifs.len());
    }
}

pub(crate) async fn pages_continue_without_gaps(fixture: Fixture) {
    for size in [3, 7, 8, 10, 50] {
        let (mut position, mut seen) = (0, Vec::new());
        loop {
            let page = fixture.provider.find(&FindRequest { size, position, ..search(COMMON) }).await.unwrap();
            seen.extend(page.gifs.into_iter().map(|gif| gif.key));
            let Some(next) = page.next else { break };
            assert!(next > position);
            position = next;
        }
        let all = fixture.provider.find(&FindRequest { size: 50, ..search(COMMON) }).await.unwrap().gifs;
        assert_eq!(seen, all.into_iter().map(|gif| gif.key).collect::<Vec<_>>(), "pages of {size}");
        assert!(seen.len() >= 16);
    }
}

pub(crate) async fn a_position_after_the_end_is_an_empty_page(fixture: Fixture) {
    for position in [60, 4_999, u32::MAX] {
        let page = fixture.provider.find(&FindRequest { position, ..search(COMMON) }).await.unwrap();
        assert_eq!((page.gifs, page.next), (Vec::new(), None), "{position}");
    }
}

pub(crate) async fn trending_finds_gifs_page_by_page(fixture: Fixture) {
    let request = FindRequest { wanted: Wanted::Trending, size: 10, ..search("x") };
    let first = fixture.provider.find(&request).await.unwrap();
    let second = FindRequest { position: first.next.unwrap(), ..request };
    let second = fixture.provider.find(&second).await.unwrap();
    let keys: HashSet<_> = first.gifs.iter().chain(&second.gifs).map(|gif| &gif.key).collect();
    assert_eq!(keys.len(), 20);
}

pub(crate) async fn random_finds_a_gif(fixture: Fixture) {
    for tag in [None, Some("cat".parse().unwrap())] {
        let page = fixture.provider.find(&FindRequest { wanted: Wanted::Random(tag), ..search("x") }).await.unwrap();
        assert!(!page.gifs.is_empty());
        assert_eq!(page.next, None, "there is no next page of random ones");
    }
}

pub(crate) async fn its_attribution_can_be_shown(fixture: Fixture) {
    assert!(!fixture.provider.attribution().is_empty());
}

pub(crate) async fn files_are_stored_only_where_it_is_allowed(fixture: Fixture) {
    assert_eq!(fixture.provider.stores_media(), fixture.name == "local");
    let allowed = |config: &mut gif_storage::ProviderConfig| {
        config.giphy_store_media = true;
        config.klipy_store_media = true;
    };
    assert!(Fixture::with(fixture.name, allowed).await.provider.stores_media());
}
