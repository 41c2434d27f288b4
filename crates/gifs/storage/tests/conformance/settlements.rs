//! [`GifRepository::settle`].

use std::sync::Arc;

use gifs_contracts::Refusal;
use gifs_domain::catalogue::{Discovery, Gif, GifState, Settled, StateName};
use kennel_core::IdSource as _;
use tokio::task::JoinSet;

use crate::store::{Store, at, discovered, facts, fetching, gif, settlement, state};
use crate::upserts::CONCURRENT_CALLS;

/// A GIF in the state `fetching`, without a pending event.
async fn fetched(store: &Store) -> Gif {
    store.upsert(&fetching(&gif("a")), None).await
}

pub(crate) async fn a_final_state_is_recorded_with_its_event(store: &Store) {
    for (id, name) in [("a", StateName::Stored), ("b", StateName::Refused)] {
        let gif = store.upsert(&fetching(&gif(id)), None).await;
        let settlement = settlement(gif.id, state(name));
        assert_eq!(store.gifs.settle(&settlement).await.unwrap(), Settled::Changed);
        assert_eq!(store.get(gif.id).await, Gif { state: state(name), updated_at: at(9), ..gif });
        assert_eq!(store.pending().await.last(), Some(&settlement.event));
        assert!(store.database.inbox.seen(&settlement.receipt.group, settlement.receipt.event).await.unwrap());
    }
}

pub(crate) async fn every_refusal_is_read_as_written(store: &Store) {
    for refusal in Refusal::ALL {
        let gif = store.upsert(&fetching(&gif(refusal.as_str())), None).await;
        store.gifs.settle(&settlement(gif.id, GifState::Refused(refusal))).await.unwrap();
        assert_eq!(store.get(gif.id).await.state, GifState::Refused(refusal));
    }
}

pub(crate) async fn a_known_gif_can_be_settled(store: &Store) {
    let known = store.upsert(&gif("a"), None).await;
    assert_eq!(store.gifs.settle(&settlement(known.id, GifState::Stored(facts()))).await.unwrap(), Settled::Changed);
    assert_eq!(store.get(known.id).await.state, GifState::Stored(facts()));
}

pub(crate) async fn a_receipt_takes_effect_once(store: &Store) {
    let gif = fetched(store).await;
    let first = settlement(gif.id, GifState::Stored(facts()));
    assert_eq!(store.gifs.settle(&first).await.unwrap(), Settled::Changed);
    for _ in 0..4 {
        assert_eq!(store.gifs.settle(&first).await.unwrap(), Settled::Seen);
    }
    assert_eq!(store.pending().await, [first.event]);
}

pub(crate) async fn a_final_state_does_not_change(store: &Store) {
    for (id, first, second) in
        [("a", StateName::Stored, StateName::Refused), ("b", StateName::Refused, StateName::Stored)]
    {
        let gif = store.upsert(&fetching(&gif(id)), None).await;
        store.gifs.settle(&settlement(gif.id, state(first))).await.unwrap();
        let (events, late) = (store.pending().await, settlement(gif.id, state(second)));
        assert_eq!(store.gifs.settle(&late).await.unwrap(), Settled::Final);
        assert_eq!(store.gifs.settle(&late).await.unwrap(), Settled::Seen);
        assert_eq!(store.get(gif.id).await.state, state(first));
        assert_eq!(store.pending().await, events);
    }
}

pub(crate) async fn an_unknown_gif_leaves_only_a_receipt(store: &Store) {
    let unknown = settlement(gif("a").id, GifState::Stored(facts()));
    assert_eq!(store.gifs.settle(&unknown).await.unwrap(), Settled::Unknown);
    assert_eq!(store.gifs.settle(&unknown).await.unwrap(), Settled::Seen);
    assert_eq!((store.all().await, store.pending().await), (Vec::new(), Vec::new()));
}

pub(crate) async fn of_concurrent_deliveries_of_one_event_one_changes_the_state(store: &Store) {
    let given = settlement(fetched(store).await.id, GifState::Stored(facts()));
    let mut calls = JoinSet::new();
    for _ in 0..CONCURRENT_CALLS {
        let (gifs, given) = (Arc::clone(&store.gifs), given.clone());
        calls.spawn(async move { gifs.settle(&given).await.unwrap() });
    }
    let results = calls.join_all().await;
    assert_eq!(results.iter().filter(|result| **result == Settled::Changed).count(), 1, "{results:?}");
    assert_eq!(results.iter().filter(|result| **result == Settled::Seen).count(), CONCURRENT_CALLS - 1, "{results:?}");
    assert_eq!(store.pending().await, [given.event]);
}

pub(crate) async fn of_concurrent_final_states_one_is_recorded(store: &Store) {
    let gif = fetched(store).await;
    let mut calls = JoinSet::new();
    for call in 0..CONCURRENT_CALLS {
        let name = if call % 2 == 0 { StateName::Stored } else { StateName::Refused };
        let (gifs, given) = (Arc::clone(&store.gifs), settlement(gif.id, state(name)));
        calls.spawn(async move { (gifs.settle(&given).await.unwrap(), given) });
    }
    let (changed, others): (Vec<_>, Vec<_>) =
        calls.join_all().await.into_iter().partition(|(result, _)| *result == Settled::Changed);
    assert!(others.iter().all(|(result, _)| *result == Settled::Final), "{others:?}");
    let [(_, winner)] = &changed[..] else { panic!("{} calls changed the state", changed.len()) };
    assert_eq!(store.get(gif.id).await.state, winner.state);
    assert_eq!(store.pending().await, std::slice::from_ref(&winner.event));
}

pub(crate) async fn a_state_stays_final_while_the_gif_is_found_again(store: &Store) {
    let gif = fetched(store).await;
    let mut calls = JoinSet::new();
    for call in 0..CONCURRENT_CALLS {
        let gifs = Arc::clone(&store.gifs);
        let mut again = gif.clone();
        again.details.title = format!("title {call}");
        let given = settlement(gif.id, GifState::Stored(facts()));
        calls.spawn(async move {
            if call == 5 {
                gifs.settle(&given).await.unwrap();
            } else {
                let event = Some(discovered(&again));
                gifs.upsert(&[Discovery { gif: again, event }]).await.unwrap();
            }
        });
    }
    calls.join_all().await;
    assert_eq!(store.get(gif.id).await.state, GifState::Stored(facts()));
    let names: Vec<_> = store.pending().await.into_iter().map(|event| event.name).collect();
    assert_eq!(names, ["gifs.settled"]);
}

pub(crate) async fn receipts_of_two_groups_are_independent(store: &Store) {
    let (first, second) = (gif("a"), gif("b"));
    store.insert(&[&first, &second]).await;
    let one = settlement(first.id, GifState::Stored(facts()));
    let mut other = settlement(second.id, GifState::Stored(facts()));
    other.receipt.event = one.receipt.event;
    "another.group".clone_into(&mut other.receipt.group);
    other.event.id = kennel_core::UuidV7.next();
    assert_eq!(store.gifs.settle(&one).await.unwrap(), Settled::Changed);
    assert_eq!(store.gifs.settle(&other).await.unwrap(), Settled::Changed);
}
