//! [`GifRepository::list`].

use std::collections::HashSet;

use gifs_contracts::GifId;
use gifs_domain::catalogue::{Gif, GifQuery, Rating, StateName};

use crate::store::{Store, details, everything, fetching, gif, ids, numbered, settlement, state, titled};

pub(crate) async fn lists_newest_first(store: &Store) {
    let mut gifs: Vec<_> = [7, 1, 300, 0x80 << 48, 2].map(numbered).into();
    store.insert(&gifs.iter().collect::<Vec<_>>()).await;
    gifs.sort_by_key(|gif| std::cmp::Reverse(gif.id));
    assert_eq!(store.all().await, gifs);
    for (index, gif) in gifs.iter().enumerate() {
        let after = GifQuery { after: Some(gif.id), ..everything() };
        assert_eq!(store.gifs.list(&after).await.unwrap(), gifs[index + 1..]);
    }
}

pub(crate) async fn a_page_has_at_most_the_limit(store: &Store) {
    let gifs: Vec<_> = (1..=5).map(numbered).collect();
    store.insert(&gifs.iter().collect::<Vec<_>>()).await;
    for (limit, expected) in [(0, 0), (1, 1), (4, 4), (5, 5), (u32::MAX, 5)] {
        assert_eq!(store.gifs.list(&GifQuery { limit, ..everything() }).await.unwrap().len(), expected);
    }
}

pub(crate) async fn an_empty_store_has_an_empty_page(store: &Store) {
    assert_eq!(store.all().await, []);
    assert_eq!(store.with_words(&["cat"]).await, []);
    let after = GifQuery { after: Some(gif("a").id), state: Some(StateName::Known), ..everything() };
    assert_eq!(store.gifs.list(&after).await.unwrap(), []);
}

pub(crate) async fn pages_miss_and_repeat_nothing_among_inserts(store: &Store) {
    let existing: Vec<_> = (1..=23).map(|number| numbered(number * 1_000)).collect();
    store.insert(&existing.iter().collect::<Vec<_>>()).await;
    let (mut after, mut seen) = (None, Vec::<GifId>::new());
    for round in 1.. {
        let page = store.gifs.list(&GifQuery { after, limit: 5, ..everything() }).await.unwrap();
        seen.extend(ids(&page));
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        if round <= 10 {
            for base in [0, 11_000, 24_000] {
                store.insert(&[&numbered(base + round)]).await;
            }
        }
    }
    let once: HashSet<_> = seen.iter().collect();
    assert_eq!(once.len(), seen.len(), "repeated");
    assert!(existing.iter().all(|gif| once.contains(&gif.id)), "missed");
    assert!(seen.is_sorted_by(|a, b| a > b));
}

pub(crate) async fn a_state_selects_its_gifs(store: &Store) {
    for name in StateName::ALL {
        let known = gif(name.name());
        store.upsert(&if *name == StateName::Known { known.clone() } else { fetching(&known) }, None).await;
        if matches!(name, StateName::Stored | StateName::Refused) {
            store.gifs.settle(&settlement(known.id, state(*name))).await.unwrap();
        }
    }
    for name in StateName::ALL {
        let found = store.gifs.list(&GifQuery { state: Some(*name), ..everything() }).await.unwrap();
        assert_eq!(found.iter().map(|gif| gif.key.id.as_str()).collect::<Vec<_>>(), [name.name()]);
    }
    assert_eq!(store.all().await.len(), 4);
}

pub(crate) async fn a_rating_includes_the_lower_ones(store: &Store) {
    for rating in Rating::ALL {
        store.insert(&[&Gif { rating: *rating, ..gif(rating.name()) }]).await;
    }
    for (index, rating) in Rating::ALL.iter().enumerate() {
        let found = store.gifs.list(&GifQuery { rating: *rating, ..everything() }).await.unwrap();
        assert_eq!(found.len(), index + 1, "{rating}");
        assert!(found.iter().all(|gif| gif.rating <= *rating));
    }
}

pub(crate) async fn a_gif_is_found_by_all_of_its_words(store: &Store) {
    let cat = titled("a", "Happy Cat", &["jump", "two words"]);
    let dog = titled("b", "happy dog", &["jump"]);
    store.insert(&[&cat, &dog]).await;
    assert_eq!(store.with_words(&["happy"]).await, [dog.id, cat.id]);
    assert_eq!(store.with_words(&["jump", "happy"]).await, [dog.id, cat.id]);
    for words in [&["cat"][..], &["happy", "cat"], &["words"], &["two", "happy", "cat", "jump"]] {
        assert_eq!(store.with_words(words).await, [cat.id], "{words:?}");
    }
    for words in [&["cat", "dog"][..], &["ca"], &["cats"], &["Cat"], &["happy cat"], &["%"], &[""], &["'"]] {
        assert_eq!(store.with_words(words).await, [], "{words:?}");
    }
}

pub(crate) async fn words_of_any_script_are_found_exactly(store: &Store) {
    let gifs = [("a", "犬 が 走る"), ("b", "ÉTÉ à la plage"), ("c", "ete"), ("d", "straße"), ("e", "strasse")];
    let gifs = gifs.map(|(id, title)| titled(id, title, &[]));
    store.insert(&gifs.iter().collect::<Vec<_>>()).await;
    for (word, index) in [("犬", 0), ("été", 1), ("ete", 2), ("straße", 3), ("strasse", 4)] {
        assert_eq!(store.with_words(&[word]).await, [gifs[index].id], "{word}");
    }
}

pub(crate) async fn words_are_found_page_by_page(store: &Store) {
    let cats: Vec<_> = (1..=7).map(|number| Gif { details: details("cat", &[]), ..numbered(number * 2) }).collect();
    let dogs: Vec<_> = (1..=7).map(|number| Gif { details: details("dog", &[]), ..numbered(number * 2 + 1) }).collect();
    store.insert(&cats.iter().chain(&dogs).collect::<Vec<_>>()).await;
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let query = GifQuery { words: vec!["cat".to_owned()], after, limit: 3, ..everything() };
        let page = store.gifs.list(&query).await.unwrap();
        seen.extend(ids(&page));
        let Some(last) = page.last() else { break };
        after = Some(last.id);
    }
    assert_eq!(seen, cats.iter().rev().map(|gif| gif.id).collect::<Vec<_>>());
}

pub(crate) async fn every_condition_of_a_query_applies(store: &Store) {
    let matching = fetching(&titled("a", "cat", &[]));
    let others = [
        titled("b", "cat", &[]),
        fetching(&titled("c", "dog", &[])),
        fetching(&Gif { rating: Rating::R, ..titled("d", "cat", &[]) }),
    ];
    store.insert(&[&matching, &others[0], &others[1], &others[2]]).await;
    let query = GifQuery {
        words: vec!["cat".to_owned()],
        rating: Rating::Pg13,
        state: Some(StateName::Fetching),
        after: Some(titled("e", "", &[]).id),
        limit: 10,
    };
    assert_eq!(store.gifs.list(&query).await.unwrap(), [matching]);
}
