//! Differences between what became of GIFs and what the Catalogue knows are found, and repaired.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use gifs_contracts::{GifId, MediaRefused, MediaStored, Refusal, Sha256};
use gifs_domain::media::{
    CatalogueGif, CataloguePage, CatalogueReader, CatalogueState, Difference, Finding, Options, Reconciliation,
    Subject, Verdict,
};
use kennel_core::{BoxError, Clock as _, IdSource as _, Timestamp, UuidV7};
use kennel_testkit::gifs::GifFile;
use sha2::Digest as _;

use crate::Bench;
use crate::upstream::Answer;

const GRACE: Duration = Duration::from_hours(1);

/// A Catalogue whose rows the test changes.
#[derive(Default)]
struct Catalogue(Mutex<BTreeMap<GifId, CatalogueGif>>);

impl Catalogue {
    fn put(&self, id: GifId, url: &str, state: CatalogueState, changed_at: Timestamp) -> GifId {
        self.0.lock().unwrap().insert(id, CatalogueGif { id, url: Some(url.to_owned()), state, changed_at });
        id
    }

    fn set(&self, id: GifId, state: CatalogueState) {
        self.0.lock().unwrap().get_mut(&id).unwrap().state = state;
    }

    /// Handles the answers of Media, as gif-storage does: states only move forward.
    async fn hear(&self, bench: &Bench) {
        for answer in bench.answers().await {
            let (id, state) = if let Some(stored) = answer.decode::<MediaStored>().unwrap() {
                (stored.id, CatalogueState::Stored(stored.sha256))
            } else {
                let refused = answer.decode::<MediaRefused>().unwrap().unwrap();
                (refused.id, CatalogueState::Refused(refused.refusal))
            };
            if let Some(gif) = self.0.lock().unwrap().get_mut(&id)
                && matches!(gif.state, CatalogueState::Known | CatalogueState::Fetching)
            {
                gif.state = state;
            }
        }
    }
}

#[async_trait]
impl CatalogueReader for Catalogue {
    async fn page(&self, start: Option<&str>) -> Result<CataloguePage, BoxError> {
        let gifs = self.0.lock().unwrap();
        let start = start.map(str::parse::<GifId>).transpose()?;
        let mut page: Vec<_> =
            gifs.values().rev().filter(|gif| start.is_none_or(|start| gif.id <= start)).take(4).cloned().collect();
        let next = if page.len() == 4 { page.pop() } else { None };
        Ok(CataloguePage { gifs: page, next: next.map(|gif| gif.id.to_string()) })
    }

    async fn find(&self, id: GifId) -> Result<Option<CatalogueGif>, BoxError> {
        Ok(self.0.lock().unwrap().get(&id).cloned())
    }
}

async fn reconcile(bench: &Bench, catalogue: &Catalogue, repair: bool) -> (Reconciliation, Vec<Finding>) {
    let mut findings = Vec::new();
    let options = Options { repair, grace: GRACE };
    let result = bench.media.reconcile(options, Some(catalogue), |_, finding| findings.extend(finding)).await.unwrap();
    (result, findings)
}

fn by_gif(findings: &[Finding]) -> BTreeMap<GifId, Difference> {
    let gif = |finding: &Finding| match finding.subject {
        Subject::Gif(id) => (id, finding.difference),
        Subject::Object(_) => panic!("{finding:?}"),
    };
    findings.iter().map(gif).collect()
}

fn hash(file: &[u8]) -> Sha256 {
    format!("{:x}", sha2::Sha256::digest(file)).parse().unwrap()
}

/// 30 GIFs that both know, stored and refused ones.
async fn agreed(bench: &Bench, catalogue: &Catalogue) -> Vec<GifId> {
    let mut gifs = Vec::new();
    for number in 0..30 {
        let url = match number % 3 {
            0 => bench.upstream.set(&format!("{number}"), Answer::Status(404)),
            _ => bench.upstream.animation(number),
        };
        let id = bench.discover(&url).await;
        gifs.push(catalogue.put(id, &url, CatalogueState::Fetching, bench.clock.now()));
    }
    gifs
}

#[tokio::test]
async fn exactly_the_injected_differences_are_found_and_repaired() {
    let (bench, catalogue) = (Bench::start().await, Catalogue::default());
    let gifs = agreed(&bench, &catalogue).await;
    let now = bench.clock.now();
    assert_eq!(reconcile(&bench, &catalogue, false).await.0.found, 0, "young outcomes are still being reported");
    catalogue.hear(&bench).await;
    // Nothing is expected of Media for a GIF whose bytes stay at the provider.
    catalogue.put(GifId(UuidV7.next()), "http://192.0.2.1/", CatalogueState::Known, now);
    bench.clock.advance(GRACE * 2);
    let (clean, _) = reconcile(&bench, &catalogue, false).await;
    assert_eq!((clean.compared.gifs, clean.found), (31, 0));

    let mut expected = BTreeMap::new();
    for id in &gifs[..4] {
        catalogue.set(*id, CatalogueState::Fetching);
        expected.insert(*id, Difference::Unreported);
    }
    let put = |url: &str, state, at| catalogue.put(GifId(UuidV7.next()), url, state, at);
    for number in 100..103 {
        let id = put(&bench.upstream.animation(number), CatalogueState::Fetching, now);
        expected.insert(id, Difference::Unsettled);
    }
    let young = put(&bench.upstream.animation(103), CatalogueState::Fetching, bench.clock.now());
    let file = GifFile::animation(9, 9, 2, 5).end();
    let url = bench.upstream.set("known", Answer::File(file.clone()));
    expected.insert(put(&url, CatalogueState::Stored(hash(&file)), now), Difference::Forgotten);
    expected.insert(put(&url, CatalogueState::Refused(Refusal::Denied), now), Difference::Forgotten);
    let (found, findings) = reconcile(&bench, &catalogue, false).await;
    assert_eq!((by_gif(&findings), found.repaired), (expected.clone(), 0));

    let (repaired, findings) = reconcile(&bench, &catalogue, true).await;
    assert_eq!((by_gif(&findings), repaired.repaired), (expected, 9), "{findings:?}");
    catalogue.hear(&bench).await;
    catalogue.set(young, CatalogueState::Known);
    assert_eq!(reconcile(&bench, &catalogue, false).await.1, []);
    bench.assert_consistent().await;
}

#[tokio::test]
async fn what_cannot_be_repaired_is_named_with_its_reason() {
    let (bench, catalogue) = (Bench::start().await, Catalogue::default());
    let gifs = agreed(&bench, &catalogue).await;
    catalogue.hear(&bench).await;
    bench.clock.advance(GRACE * 2);
    let now = bench.clock.now();
    let other = hash(b"other");
    catalogue.set(gifs[1], CatalogueState::Stored(other.clone()));
    catalogue.set(gifs[2], CatalogueState::Refused(Refusal::Gone));
    catalogue.0.lock().unwrap().remove(&gifs[3]);
    let mut expected: BTreeMap<GifId, (&str, &str)> = BTreeMap::from([
        (gifs[1], ("contradiction", "both are final")),
        (gifs[2], ("contradiction", "both are final")),
        (gifs[3], ("unknown_gif", "the catalogue does not have it")),
    ]);
    let forgotten = [
        (bench.upstream.animation(100), "the provider has other bytes now"),
        (bench.upstream.set("gone", Answer::Status(404)), "gone"),
        (bench.upstream.set("down", Answer::Status(503)), "the provider is unavailable"),
    ];
    for (url, reason) in &forgotten {
        let id = catalogue.put(GifId(UuidV7.next()), url, CatalogueState::Stored(other.clone()), now);
        expected.insert(id, ("forgotten", reason));
    }
    let (result, findings) = reconcile(&bench, &catalogue, true).await;
    assert_eq!((result.found, result.repaired), (6, 0));
    let found: BTreeMap<_, _> = by_gif(&findings).into_iter().map(|(id, difference)| (id, difference.name())).collect();
    for finding in &findings {
        let Subject::Gif(id) = finding.subject else { panic!("{finding:?}") };
        let reason = finding.repair.clone().unwrap().unwrap_err();
        assert_eq!((found[&id], reason.as_str()), expected[&id]);
    }
    let refused = bench.blobs.outcome(gifs[0]).await.unwrap().unwrap();
    assert!(matches!(refused.verdict, Verdict::Refused { .. }), "states are final: {refused:?}");
}

#[tokio::test]
async fn a_catalogue_that_does_not_answer_is_an_error() {
    struct Gone;
    #[async_trait]
    impl CatalogueReader for Gone {
        async fn page(&self, _: Option<&str>) -> Result<CataloguePage, BoxError> {
            Err("gone".into())
        }
        async fn find(&self, _: GifId) -> Result<Option<CatalogueGif>, BoxError> {
            Err("gone".into())
        }
    }
    let bench = Bench::start().await;
    let options = Options { repair: true, grace: GRACE };
    let failed = bench.media.reconcile(options, Some(&Gone), |_, _| {}).await;
    assert_eq!(failed.unwrap_err().to_string(), "the catalogue is unavailable");
}
