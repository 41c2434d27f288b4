//! [`GifRepository::upsert`], and the reads of what it stores.

use std::sync::Arc;

use gifs_contracts::GifId;
use gifs_domain::catalogue::{Details, Discovery, Gif, GifState, Provider, Rating, StateName};
use kennel_storage::MigrationState;
use tokio::task::JoinSet;

use crate::store::{Store, at, details, discovered, fetching, gif, ids, key, settlement, state, titled};

pub(crate) const CONCURRENT_CALLS: usize = 12;

async fn is_read_as_written(store: &Store, gif: &Gif) {
    assert_eq!(&store.upsert(gif, None).await, gif);
    assert_eq!(store.gifs.find(gif.id).await.unwrap().as_ref(), Some(gif));
    let (key, same) = (std::slice::from_ref(&gif.key), std::slice::from_ref(gif));
    assert_eq!(store.gifs.find_by_keys(key).await.unwrap(), same);
    assert!(store.all().await.contains(gif));
}

pub(crate) async fn a_gif_is_read_as_written(store: &Store) {
    for (index, title) in
        ["", "a", "Ŕéx 犬 🐕 O'Hara \"x\" \\n \\ %_ ;--", "null", &"🐕".repeat(300)].iter().enumerate()
    {
        is_read_as_written(store, &titled(&index.to_string(), title, &["a b", "犬"])).await;
    }
}

pub(crate) async fn a_gif_without_what_is_optional_is_read_as_written(store: &Store) {
    let mut given = gif("a");
    given.details = Details { page_url: None, attribution: String::new(), tags: Vec::new(), ..given.details };
    given.details.renditions[0].width = None;
    given.details.renditions[0].size = None;
    is_read_as_written(store, &given).await;
}

pub(crate) async fn every_provider_and_rating_is_read_as_written(store: &Store) {
    for provider in Provider::ALL {
        for rating in Rating::ALL {
            let key = key(*provider, &format!("{rating}~!%/'\\"));
            is_read_as_written(store, &Gif { key, rating: *rating, ..gif("a") }).await;
        }
    }
}

pub(crate) async fn times_are_stored_to_the_millisecond(store: &Store) {
    for (index, time) in
        ["1969-12-31T23:59:59.999Z", "2026-02-28T23:59:59.001Z", "2199-12-31T00:00:00Z"].iter().enumerate()
    {
        let time = time.parse().unwrap();
        is_read_as_written(store, &Gif { created_at: time, updated_at: time, ..gif(&index.to_string()) }).await;
    }
}

pub(crate) async fn long_details_are_read_as_written(store: &Store) {
    let tags: Vec<_> = (0..30).map(|number| format!("{number:02}{}", "é".repeat(48))).collect();
    let mut given = gif("a");
    given.details.tags = tags;
    let rendition = given.details.renditions[0].clone();
    given.details.renditions = vec![rendition; 100];
    is_read_as_written(store, &given).await;
}

pub(crate) async fn keys_and_ids_that_are_not_stored_have_no_gif(store: &Store) {
    store.insert(&[&gif("a")]).await;
    assert_eq!(store.gifs.find(gif("b").id).await.unwrap(), None);
    assert_eq!(store.gifs.find_by_keys(&[]).await.unwrap(), []);
    // Ids are compared byte by byte, and belong to their provider.
    let others = [key(Provider::Giphy, "A"), key(Provider::Giphy, "b"), key(Provider::Klipy, "a")];
    assert_eq!(store.gifs.find_by_keys(&others).await.unwrap(), []);
}

pub(crate) async fn keys_that_are_stored_are_found_among_others(store: &Store) {
    let (first, second) = (gif("a"), gif("b"));
    store.insert(&[&first, &second]).await;
    let keys = [key(Provider::Giphy, "c"), second.key.clone(), first.key.clone()];
    let mut found = store.gifs.find_by_keys(&keys).await.unwrap();
    found.sort_by_key(|gif| gif.id);
    assert_eq!(found, [first, second]);
}

pub(crate) async fn an_empty_upsert_does_nothing(store: &Store) {
    assert_eq!(store.gifs.upsert(&[]).await.unwrap(), []);
    assert_eq!(store.all().await, []);
}

pub(crate) async fn a_page_is_stored_and_returned_in_its_order(store: &Store) {
    let existing = gif("m");
    store.insert(&[&existing]).await;
    let page = [gif("z"), Gif { id: GifId(uuid::Uuid::nil()), ..existing.clone() }, gif("a"), gif("k")];
    let found: Vec<_> = page.iter().map(|gif| Discovery { gif: gif.clone(), event: None }).collect();
    let stored = store.gifs.upsert(&found).await.unwrap();
    assert_eq!(stored, [page[0].clone(), existing, page[2].clone(), page[3].clone()]);
    assert_eq!(store.all().await.len(), 4);
}

pub(crate) async fn a_full_page_with_many_words_is_stored(store: &Store) {
    let title: Vec<_> = (0..60).map(|number| format!("word{number}")).collect();
    let title: String = title.join(" ").chars().take(300).collect();
    let gifs: Vec<_> = (0..50).map(|number| titled(&number.to_string(), &title, &["a", "b"])).collect();
    store.insert(&gifs.iter().collect::<Vec<_>>()).await;
    assert_eq!(store.with_words(&["word0", "word30", "b"]).await.len(), 50);
}

pub(crate) async fn a_new_gif_is_stored_with_its_event(store: &Store) {
    let given = fetching(&gif("a"));
    let event = discovered(&given);
    assert_eq!(store.upsert(&given, Some(&event)).await, given);
    assert_eq!(store.pending().await, [event]);
}

pub(crate) async fn the_events_of_a_page_are_all_stored(store: &Store) {
    let gifs: Vec<_> = (0..50).map(|number| fetching(&gif(&number.to_string()))).collect();
    let found: Vec<_> = gifs.iter().map(|gif| Discovery { gif: gif.clone(), event: Some(discovered(gif)) }).collect();
    store.gifs.upsert(&found).await.unwrap();
    let mut expected: Vec<_> = gifs.iter().map(|gif| gif.id.to_string()).collect();
    let mut pending: Vec<_> = store.pending().await.into_iter().map(|event| event.key).collect();
    expected.sort();
    pending.sort();
    assert_eq!(pending, expected);
}

pub(crate) async fn an_existing_gif_retains_what_identifies_it(store: &Store) {
    let first = gif("a");
    store.insert(&[&first]).await;
    let again = Gif { rating: Rating::R, created_at: at(5), updated_at: at(5), ..gif("a") };
    assert_eq!(store.upsert(&again, None).await, first);
    assert_eq!(store.all().await, [first]);
}

pub(crate) async fn other_details_replace_the_stored_ones(store: &Store) {
    let first = titled("a", "happy cat", &["funny"]);
    store.insert(&[&first]).await;
    let again = Gif { updated_at: at(5), ..titled("a", "happy dog", &["jump"]) };
    let expected = Gif { details: again.details.clone(), updated_at: at(5), ..first.clone() };
    assert_eq!(store.upsert(&again, None).await, expected);
    assert_eq!(store.get(first.id).await, expected);
    for (words, found) in [(&["happy", "dog"][..], true), (&["jump"], true), (&["cat"], false), (&["funny"], false)] {
        assert_eq!(store.with_words(words).await == [first.id], found, "{words:?}");
    }
}

pub(crate) async fn equal_details_change_nothing(store: &Store) {
    let first = gif("a");
    store.insert(&[&first]).await;
    assert_eq!(store.upsert(&Gif { updated_at: at(5), ..first.clone() }, None).await.updated_at, at(0));
}

pub(crate) async fn an_event_for_another_id_of_a_stored_gif_is_not_appended(store: &Store) {
    let (first, second) = (gif("a"), fetching(&gif("a")));
    store.insert(&[&first]).await;
    assert_eq!(store.upsert(&second, Some(&discovered(&second))).await, first);
    assert_eq!(store.pending().await, []);
}

pub(crate) async fn a_known_gif_is_fetched_once(store: &Store) {
    let known = gif("a");
    store.insert(&[&known]).await;
    let wanted = Gif { updated_at: at(5), ..fetching(&known) };
    let event = discovered(&wanted);
    assert_eq!(store.upsert(&wanted, Some(&event)).await, wanted);
    assert_eq!(store.upsert(&wanted, Some(&discovered(&wanted))).await, wanted);
    assert_eq!(store.pending().await, [event]);
}

pub(crate) async fn an_upsert_moves_no_state_back(store: &Store) {
    for name in [StateName::Fetching, StateName::Stored, StateName::Refused] {
        let known = gif(name.name());
        let wanted = fetching(&known);
        store.upsert(&wanted, Some(&discovered(&wanted))).await;
        if name != StateName::Fetching {
            store.gifs.settle(&settlement(known.id, state(name))).await.unwrap();
        }
        let events = store.pending().await.len();
        let changed = Gif { details: details("new", &[]), ..known };
        for given in [changed.clone(), fetching(&changed)] {
            let stored = store.upsert(&given, Some(&discovered(&given))).await;
            assert_eq!((stored.state, stored.details), (state(name), changed.details.clone()));
        }
        assert_eq!(store.pending().await.len(), events);
    }
}

pub(crate) async fn of_concurrent_upserts_of_one_gif_one_is_stored(store: &Store) {
    let mut calls = JoinSet::new();
    for _ in 0..CONCURRENT_CALLS {
        let (gifs, gif) = (Arc::clone(&store.gifs), fetching(&gif("a")));
        calls.spawn(async move { gifs.upsert(&[Discovery { event: Some(discovered(&gif)), gif }]).await.unwrap() });
    }
    let returned = calls.join_all().await;
    let all = store.all().await;
    assert_eq!(all.len(), 1);
    assert!(returned.iter().all(|gifs| *gifs == all), "{returned:?}");
    let [event] = &store.pending().await[..] else { panic!("not one event") };
    assert_eq!(event.key, all[0].id.to_string());
    assert_eq!(store.with_words(&["title"]).await, ids(&all));
}

pub(crate) async fn concurrent_pages_that_overlap_store_each_gif_once(store: &Store) {
    let mut calls = JoinSet::new();
    for call in 0..CONCURRENT_CALLS {
        let gifs = Arc::clone(&store.gifs);
        // Each has another order, and another part of the same 16 GIFs.
        let page: Vec<_> = (0..10).map(|index| fetching(&gif(&((index * 3 + call * 5) % 16).to_string()))).collect();
        let found: Vec<_> = page.into_iter().map(|gif| Discovery { event: Some(discovered(&gif)), gif }).collect();
        calls.spawn(async move { gifs.upsert(&found).await.unwrap() });
    }
    calls.join_all().await;
    let all = store.all().await;
    assert_eq!(all.len(), 16);
    let mut events: Vec<_> = store.pending().await.into_iter().map(|event| event.key).collect();
    let mut expected: Vec<_> = all.iter().map(|gif| gif.id.to_string()).collect();
    events.sort();
    expected.sort();
    assert_eq!(events, expected);
}

pub(crate) async fn of_concurrent_moves_to_fetching_one_has_an_event(store: &Store) {
    let known = gif("a");
    store.insert(&[&known]).await;
    let mut calls = JoinSet::new();
    for _ in 0..CONCURRENT_CALLS {
        let (gifs, gif) = (Arc::clone(&store.gifs), fetching(&known));
        calls.spawn(async move { gifs.upsert(&[Discovery { event: Some(discovered(&gif)), gif }]).await.unwrap() });
    }
    for returned in calls.join_all().await {
        assert_eq!(returned[0].state, GifState::Fetching);
    }
    assert_eq!(store.pending().await.len(), 1);
}

pub(crate) async fn concurrent_changes_of_details_leave_one_of_them_with_its_words(store: &Store) {
    let first = gif("a");
    store.insert(&[&first]).await;
    let mut calls = JoinSet::new();
    for call in 0..CONCURRENT_CALLS {
        let (gifs, title) = (Arc::clone(&store.gifs), format!("word{call}"));
        calls.spawn(async move {
            gifs.upsert(&[Discovery { gif: titled("a", &title, &[]), event: None }]).await.unwrap();
        });
    }
    calls.join_all().await;
    let title = store.get(first.id).await.details.title;
    let mut found = Vec::new();
    for call in 0..CONCURRENT_CALLS {
        let word = format!("word{call}");
        if !store.with_words(&[&word]).await.is_empty() {
            found.push(word);
        }
    }
    assert_eq!(found, [title]);
}

pub(crate) async fn down_reverts_up(store: &Store) {
    let migrator = &store.database.migrator;
    store.insert(&[&gif("lost")]).await;
    assert_eq!(migrator.down(1).await.unwrap().len(), 1);
    let states: Vec<_> = migrator.status().await.unwrap().into_iter().map(|step| step.state).collect();
    assert_eq!(states, [MigrationState::Applied { at: at(0) }, MigrationState::Pending]);
    assert!(store.gifs.find(gif("a").id).await.is_err(), "without its schema");

    migrator.up(at(1)).await.unwrap();
    assert_eq!(store.all().await, []);
    assert_eq!(migrator.down(u32::MAX).await.unwrap().len(), states.len());
    migrator.up(at(2)).await.unwrap();
    is_read_as_written(store, &gif("a")).await;
}
