//! Differences between rows and objects are found, and repaired.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use gifs_domain::media::{Difference, Finding, Options, Reconciliation, Subject, Variant, file_key};
use kennel_core::ObjectKey;
use kennel_core::objects::PutOptions;
use sha2::{Digest as _, Sha256};

use crate::Bench;
use crate::upstream::Answer;

const GRACE: Duration = Duration::from_hours(1);

async fn reconcile(bench: &Bench, repair: bool) -> (Reconciliation, Vec<Finding>) {
    let mut findings = Vec::new();
    let options = Options { repair, grace: GRACE };
    let result = bench.media.reconcile(options, None, |_, finding| findings.extend(finding)).await.unwrap();
    assert_eq!(result.found, findings.len() as u64);
    (result, findings)
}

async fn put(bench: &Bench, key: &ObjectKey, bytes: impl Into<Bytes>) {
    let options = PutOptions { content_type: None, max_bytes: 1 << 20, skip_existing: false };
    bench.objects.put(key, stream::iter([Ok(bytes.into())]).boxed(), &options).await.unwrap();
}

fn keys(findings: &[Finding], difference: Difference) -> BTreeSet<ObjectKey> {
    let subjects = findings.iter().filter(|finding| finding.difference == difference).map(|finding| &finding.subject);
    let key = |subject: &Subject| if let Subject::Object(key) = subject { key.clone() } else { panic!("{subject}") };
    subjects.map(key).collect()
}

#[tokio::test]
async fn exactly_the_injected_differences_are_found_and_repaired() {
    let bench = Bench::start().await;
    for number in 0..30 {
        bench.discover(&bench.upstream.animation(number)).await;
    }
    let (clean, _) = reconcile(&bench, false).await;
    assert_eq!((clean.compared.blobs, clean.compared.objects, clean.found), (30, 60, 0));

    let blobs = bench.blobs.list(None, 100).await.unwrap();
    let mut lost = BTreeSet::new();
    for (number, blob) in blobs.iter().take(10).enumerate() {
        let variant = if number % 2 == 0 { Variant::Original } else { Variant::Poster };
        let key = blob.file(variant).unwrap().key.clone();
        assert!(bench.objects.delete(&key).await.unwrap());
        lost.insert(key);
    }
    // Another program has cut this one off.
    let cut = blobs[21].files[0].key.clone();
    bench.truncate(&cut, 3);
    lost.insert(cut);
    let damaged = blobs[20].files[0].key.clone();
    put(&bench, &damaged, &b"GIF89a"[..]).await;
    let mut orphans = BTreeSet::new();
    for number in 0..10 {
        let name = format!("{number:02x}").repeat(32);
        let key: ObjectKey = format!("gifs/{}/{name}.gif", &name[..2]).parse().unwrap();
        put(&bench, &key, &b"orphan"[..]).await;
        orphans.insert(key);
    }
    let (young, findings) = reconcile(&bench, false).await;
    assert_eq!((young.found, keys(&findings, Difference::Lost)), (12, lost.clone()), "young orphans are expected");

    bench.clock.advance(GRACE * 2);
    let (found, findings) = reconcile(&bench, false).await;
    assert_eq!((found.found, found.repaired), (22, 0));
    assert_eq!(keys(&findings, Difference::Lost), lost);
    assert_eq!(keys(&findings, Difference::Orphan), orphans);
    assert_eq!(keys(&findings, Difference::WrongSize), BTreeSet::from([damaged]));

    let (repaired, findings) = reconcile(&bench, true).await;
    assert_eq!((repaired.found, repaired.repaired), (22, 22), "{findings:?}");
    assert_eq!(reconcile(&bench, false).await.0.found, 0);
    bench.assert_consistent().await;
    for blob in blobs {
        let (file, _) = bench.media.open(&blob.sha256, Variant::Original, None).await.unwrap();
        assert_eq!(file.sha256, blob.sha256);
    }
}

#[tokio::test]
async fn what_the_provider_has_no_more_stays_lost() {
    let bench = Bench::start().await;
    for (number, answer) in [(1, Answer::Status(404)), (2, Answer::File(b"GIF".to_vec())), (3, Answer::Status(503))] {
        bench.discover(&bench.upstream.animation(number)).await;
        bench.upstream.set(&format!("{number}.gif"), answer);
    }
    bench.discover(&bench.upstream.animation(4)).await;
    let other = kennel_testkit::gifs::GifFile::animation(5, 5, 2, 5).end();
    bench.upstream.set("4.gif", Answer::File(other));
    for blob in bench.blobs.list(None, 10).await.unwrap() {
        bench.objects.delete(&blob.files[0].key).await.unwrap();
    }
    let (result, findings) = reconcile(&bench, true).await;
    assert_eq!((result.found, result.repaired), (4, 0));
    let reasons: BTreeSet<_> = findings.into_iter().map(|finding| finding.repair.unwrap().unwrap_err()).collect();
    let expected = ["gone", "not_a_gif", "the provider has other bytes now", "the provider is unavailable"];
    assert_eq!(reasons, expected.map(str::to_owned).into());
}

/// A reconciliation in another process may be about to delete it.
#[tokio::test]
async fn an_old_object_is_stored_anew_before_it_gets_a_row() {
    let bench = Bench::start().await;
    let file = kennel_testkit::gifs::GifFile::animation(4, 4, 2, 5).end();
    let sha256 = format!("{:x}", Sha256::digest(&file)).parse().unwrap();
    let key = file_key(&sha256, Variant::Original).unwrap();
    put(&bench, &key, file.clone()).await;
    let old = bench.objects.head(&key).await.unwrap().unwrap();
    bench.clock.advance(GRACE);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let url = bench.upstream.set("a", Answer::File(file));
    bench.discover(&url).await;
    let new = bench.objects.head(&key).await.unwrap().unwrap();
    assert!(new.modified > old.modified, "{new:?}");
    // With its row, it is left as it is.
    bench.discover(&url).await;
    assert_eq!(bench.objects.head(&key).await.unwrap(), Some(new));
}
