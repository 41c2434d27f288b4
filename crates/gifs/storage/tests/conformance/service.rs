//! The use cases on a real store, with providers that answer as scripted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gifs_contracts::{GifDiscovered, GifSettled, MediaRefused, MediaStored, Refusal};
use gifs_domain::catalogue::{
    CatalogueError, CatalogueService, FindRequest, FoundGif, FoundPage, Gif, GifProvider, GifState, Origin, Position,
    Provider, ProviderError, Rating, SOURCE, Settled, StateName, Wanted,
};
use kennel_core::{ErrorKind, EventType as _, ManualClock, PageSize, Receipt, ServiceError as _, UuidV7};

use crate::store::{Store, at, details, facts, gif, key, settlement, trace};

type Answer = Result<FoundPage, ProviderError>;

/// A provider that gives the next of its answers, and then fails.
struct Fake {
    provider: Provider,
    stores_media: bool,
    answers: Mutex<VecDeque<Answer>>,
    requests: Mutex<Vec<FindRequest>>,
}

#[async_trait]
impl GifProvider for Fake {
    fn provider(&self) -> Provider {
        self.provider
    }

    fn stores_media(&self) -> bool {
        self.stores_media
    }

    fn attribution(&self) -> &'static str {
        "by a fake"
    }

    async fn find(&self, request: &FindRequest) -> Answer {
        self.requests.lock().unwrap().push(request.clone());
        self.answers.lock().unwrap().pop_front().unwrap_or_else(|| Err(unavailable(None)))
    }
}

fn fake(provider: Provider, stores_media: bool, answers: Vec<Answer>) -> Arc<Fake> {
    Arc::new(Fake { provider, stores_media, answers: Mutex::new(answers.into()), requests: Mutex::default() })
}

const fn unavailable(retry_after: Option<Duration>) -> ProviderError {
    ProviderError::Unavailable { retry_after, source: None }
}

fn service(store: &Store, providers: &[Arc<Fake>]) -> CatalogueService {
    let providers = providers.iter().map(|fake| Arc::<Fake>::clone(fake) as Arc<dyn GifProvider>).collect();
    CatalogueService::new(
        Arc::clone(&store.gifs),
        providers,
        Arc::new(ManualClock::new(at(5))),
        Arc::new(UuidV7),
        trace,
    )
}

fn found(provider: Provider, id: &str, title: &str) -> FoundGif {
    FoundGif { key: key(provider, id), rating: Rating::Pg, details: details(title, &[]) }
}

/// A page of GIFs with these titles, which are their ids too.
#[expect(clippy::unnecessary_wraps, reason = "it is one of the answers of a provider")]
fn page(provider: Provider, titles: &[&str], next: Option<u32>) -> Answer {
    let gifs = titles.iter().map(|title| found(provider, title, title)).collect();
    Ok(FoundPage { gifs, next })
}

fn search(text: &str) -> FindRequest {
    let wanted = Wanted::Search(text.parse().unwrap());
    FindRequest { wanted, rating: Rating::Pg, language: None, size: 10, position: 0 }
}

fn titles(gifs: &[Gif]) -> Vec<&str> {
    gifs.iter().map(|gif| gif.details.title.as_str()).collect()
}

pub(crate) async fn what_is_found_is_stored_and_published(store: &Store) {
    let local = fake(Provider::Local, true, vec![page(Provider::Local, &["cat", "dog"], Some(7))]);
    let answer = service(store, &[local]).find(search("pet"), None).await.unwrap();
    assert_eq!(titles(&answer.gifs), ["cat", "dog"]);
    assert_eq!(answer.origin, Origin::Provider(Provider::Local));
    assert_eq!(answer.attribution, "by a fake");
    assert_eq!((answer.next, answer.at), (Some(Position::Provider(Provider::Local, 7)), at(5)));

    let cat = &answer.gifs[0];
    assert_eq!((&cat.state, cat.rating, cat.created_at), (&GifState::Fetching, Rating::Pg, at(5)));
    assert_eq!(&store.get(cat.id).await, cat);
    let pending = store.pending().await;
    let event = pending.iter().find(|event| event.key == cat.id.to_string()).unwrap();
    assert_eq!((pending.len(), &*event.source, event.time, &event.trace), (2, SOURCE, at(5), &trace()));
    let discovered = event.decode::<GifDiscovered>().unwrap().unwrap();
    assert_eq!((discovered.id, &*discovered.provider, &*discovered.provider_id), (cat.id, "local", "cat"));
    let original = cat.details.original().unwrap();
    assert_eq!((discovered.url, discovered.width, discovered.height), (original.url.to_string(), Some(480), None));
}

pub(crate) async fn what_is_found_again_is_not_published_again(store: &Store) {
    let answers = (0..3).map(|_| page(Provider::Local, &["cat", "cat", "dog"], None)).collect();
    let service = service(store, &[fake(Provider::Local, true, answers)]);
    let first = service.find(search("pet"), None).await.unwrap().gifs;
    assert_eq!(titles(&first), ["cat", "dog"], "once in a page");
    for _ in 0..2 {
        assert_eq!(service.find(search("pet"), None).await.unwrap().gifs, first);
    }
    assert_eq!(store.pending().await.len(), 2);
}

pub(crate) async fn what_has_changed_is_stored_again(store: &Store) {
    let renamed = Ok(FoundPage { gifs: vec![found(Provider::Local, "cat", "big cat")], next: None });
    let service = service(store, &[fake(Provider::Local, true, vec![page(Provider::Local, &["cat"], None), renamed])]);
    let first = service.find(search("cat"), None).await.unwrap().gifs;
    let second = service.find(search("cat"), None).await.unwrap().gifs;
    assert_eq!((second[0].id, &*second[0].details.title), (first[0].id, "big cat"));
    assert_eq!(store.with_words(&["big"]).await, [first[0].id]);
    assert_eq!(store.pending().await.len(), 1);
}

pub(crate) async fn gifs_of_a_provider_that_forbids_it_are_only_known(store: &Store) {
    let giphy = |stores| fake(Provider::Giphy, stores, vec![page(Provider::Giphy, &["cat"], None)]);
    let known = service(store, &[giphy(false)]).find(search("cat"), None).await.unwrap().gifs.remove(0);
    assert_eq!((&known.state, store.pending().await.len()), (&GifState::Known, 0));
    // A contract allows it.
    let fetching = service(store, &[giphy(true)]).find(search("cat"), None).await.unwrap().gifs.remove(0);
    assert_eq!((fetching.id, &fetching.state), (known.id, &GifState::Fetching));
    let [event] = &store.pending().await[..] else { panic!("not one event") };
    assert_eq!(event.decode::<GifDiscovered>().unwrap().unwrap().id, known.id);
    // It has ended again.
    let still = service(store, &[giphy(false)]).find(search("cat"), None).await.unwrap().gifs.remove(0);
    assert_eq!(still.state, GifState::Fetching);
}

pub(crate) async fn the_next_provider_is_asked_if_one_fails(store: &Store) {
    let errors = [
        unavailable(None),
        ProviderError::OverQuota { retry_after: Duration::from_mins(1) },
        ProviderError::KeyRefused,
        ProviderError::Malformed("another shape".into()),
    ];
    let count = errors.len();
    let giphy = fake(Provider::Giphy, false, errors.into_iter().map(Err).collect());
    let klipy = fake(Provider::Klipy, false, (0..count).map(|_| page(Provider::Klipy, &["cat"], None)).collect());
    let service = service(store, &[giphy, klipy]);
    for _ in 0..count {
        let answer = service.find(search("cat"), None).await.unwrap();
        assert_eq!(answer.gifs[0].key.provider, Provider::Klipy);
    }
}

pub(crate) async fn an_empty_page_is_an_answer(store: &Store) {
    let giphy = fake(Provider::Giphy, false, vec![page(Provider::Giphy, &[], None)]);
    let klipy = fake(Provider::Klipy, false, vec![page(Provider::Klipy, &["cat"], None)]);
    let answer = service(store, &[giphy, Arc::clone(&klipy)]).find(search("cat"), None).await.unwrap();
    assert_eq!((answer.gifs, answer.next), (Vec::new(), None));
    assert_eq!(klipy.requests.lock().unwrap().len(), 0);
}

pub(crate) async fn a_later_page_is_at_the_provider_of_the_first(store: &Store) {
    let giphy = fake(Provider::Giphy, false, vec![page(Provider::Giphy, &["cat"], None)]);
    let klipy = fake(Provider::Klipy, false, vec![page(Provider::Klipy, &["dog"], None)]);
    let service = service(store, &[giphy, Arc::clone(&klipy)]);
    let second = Some(Position::Provider(Provider::Klipy, 25));
    assert_eq!(titles(&service.find(search("pet"), second).await.unwrap().gifs), ["dog"]);
    assert_eq!(klipy.requests.lock().unwrap()[0], FindRequest { position: 25, ..search("pet") });
    // The provider has no further answer; the page of another one would not continue this one.
    let error = service.find(search("pet"), second).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after().is_some()), (ErrorKind::Unavailable, true));
    let unknown = service.find(search("pet"), Some(Position::Provider(Provider::Local, 1))).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Invalid);
}

pub(crate) async fn without_providers_the_catalogue_is_searched(store: &Store) {
    for (id, title) in [("a", "cat 1"), ("b", "cat 2"), ("c", "cat 3"), ("d", "dog")] {
        store.insert(&[&Gif { details: details(title, &[]), ..gif(id) }]).await;
    }
    let giphy = fake(Provider::Giphy, false, vec![Err(unavailable(Some(Duration::from_secs(90))))]);
    let klipy = fake(Provider::Klipy, false, vec![Err(unavailable(Some(Duration::from_secs(30))))]);
    let service = service(store, &[giphy, klipy]);
    let request = FindRequest { size: 2, ..search("CAT!") };
    let first = service.find(request.clone(), None).await.unwrap();
    assert_eq!(titles(&first.gifs), ["cat 3", "cat 2"]);
    assert_eq!(first.origin, Origin::Catalogue { retry_after: Duration::from_secs(30) });
    assert_eq!(first.attribution, "by a fake", "only of the provider that the gifs are from");
    let last = service.find(request, first.next).await.unwrap();
    assert_eq!((titles(&last.gifs), last.next), (vec!["cat 1"], None));
    let trending = FindRequest { wanted: Wanted::Trending, ..search("x") };
    assert_eq!(titles(&service.find(trending, None).await.unwrap().gifs), ["dog", "cat 3", "cat 2", "cat 1"]);
}

pub(crate) async fn what_the_catalogue_does_not_have_is_unavailable(store: &Store) {
    store.insert(&[&gif("a"), &Gif { rating: Rating::R, details: details("adult", &[]), ..gif("b") }]).await;
    let giphy =
        fake(Provider::Giphy, false, vec![Err(ProviderError::OverQuota { retry_after: Duration::from_mins(1) })]);
    let service = service(store, &[giphy]);
    let error = service.find(search("cat"), None).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Unavailable, Some(Duration::from_mins(1))));
    // A text without words matches nothing, and a rating is no hint.
    for text in ["🐕", "?!", "adult"] {
        let error = service.find(search(text), None).await.unwrap_err();
        assert!(matches!(error, CatalogueError::NoProvider { .. }), "{text}: {error:?}");
    }
}

pub(crate) async fn a_random_gif_is_one_of_those_found(store: &Store) {
    let random = || FindRequest { wanted: Wanted::Random(None), ..search("x") };
    let answers = vec![page(Provider::Local, &["a", "b", "c"], Some(3)), page(Provider::Local, &[], None)];
    let service = service(store, &[fake(Provider::Local, true, answers)]);
    let found = service.random(random()).await.unwrap();
    let [gif] = &found.gifs[..] else { panic!("{found:?}") };
    assert!(["a", "b", "c"].contains(&gif.details.title.as_str()));
    assert_eq!(found.origin, Origin::Provider(Provider::Local));
    assert_eq!(service.random(random()).await.unwrap_err().kind(), ErrorKind::NotFound);
    let found = service.random(random()).await.unwrap();
    assert!(matches!(found.origin, Origin::Catalogue { .. }));
}

pub(crate) async fn what_media_reports_is_recorded_once(store: &Store) {
    let local = fake(Provider::Local, true, vec![page(Provider::Local, &["cat", "dog"], None)]);
    let service = service(store, &[local]);
    let gifs = service.find(search("pet"), None).await.unwrap().gifs;
    let receipt = || -> Receipt { settlement(gifs[0].id, GifState::Known).receipt };

    let facts = facts();
    let stored = MediaStored {
        id: gifs[0].id,
        sha256: facts.sha256.clone(),
        size: facts.size,
        width: facts.width,
        height: facts.height,
        frames: facts.frames,
        duration_ms: facts.duration_ms,
        stored_at: at(1),
    };
    let first = receipt();
    assert_eq!(service.stored(stored.clone(), first.clone()).await.unwrap(), Settled::Changed);
    assert_eq!(service.stored(stored.clone(), first).await.unwrap(), Settled::Seen);
    assert_eq!(service.stored(stored.clone(), receipt()).await.unwrap(), Settled::Final);
    assert_eq!(service.get(gifs[0].id).await.unwrap().state, GifState::Stored(facts.clone()));

    let refused = MediaRefused { id: gifs[1].id, refusal: Refusal::NotAGif, detail: None, refused_at: at(1) };
    assert_eq!(service.refused(refused, receipt()).await.unwrap(), Settled::Changed);
    assert_eq!(service.get(gifs[1].id).await.unwrap().state, GifState::Refused(Refusal::NotAGif));
    let unknown = MediaStored { id: gif("x").id, ..stored };
    assert_eq!(service.stored(unknown, receipt()).await.unwrap(), Settled::Unknown);

    let settled: Vec<_> =
        store.pending().await.iter().filter_map(|event| event.decode::<GifSettled>().unwrap()).collect();
    assert_eq!(settled.len(), 2);
    assert_eq!((settled[0].id, &settled[0].sha256, settled[0].refusal), (gifs[0].id, &Some(facts.sha256), None));
    assert_eq!((settled[1].id, &settled[1].sha256, settled[1].refusal), (gifs[1].id, &None, Some(Refusal::NotAGif)));
    assert_eq!(GifSettled::NAME, "gifs.settled");
}

pub(crate) async fn the_catalogue_is_listed_page_by_page(store: &Store) {
    let gifs = ["a", "b", "c", "d"].map(gif);
    store.insert(&gifs.iter().collect::<Vec<_>>()).await;
    let service = service(store, &[]);
    let size = PageSize::new(3).unwrap();
    let first = service.list(None, None, size).await.unwrap();
    let last = service.list(None, first.next, size).await.unwrap();
    let listed: Vec<_> = first.items.into_iter().chain(last.items).collect();
    assert_eq!((listed, last.next), (gifs.into_iter().rev().collect(), None));
    assert_eq!(service.list(Some(StateName::Stored), None, size).await.unwrap().items, []);
}

pub(crate) async fn unknown_gifs_are_not_found(store: &Store) {
    let unknown = gif("a").id;
    let error = service(store, &[]).get(unknown).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::NotFound, format!("no gif has the id {unknown}")));
}
