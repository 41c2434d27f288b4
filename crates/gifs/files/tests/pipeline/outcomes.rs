//! What becomes of files and answers.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use gif_files::MediaConfig;
use gifs_contracts::{MediaRefused, MediaStored, Refusal};
use gifs_domain::media::{Variant, Verdict};
use kennel_config::ByteSize;
use kennel_core::objects::sniff;
use kennel_outbox::{Handled, HandlerError};
use kennel_testkit::gifs::{GifFile, samples};
use sha2::{Digest as _, Sha256};

use crate::upstream::Answer;
use crate::{Bench, discovered, event};

/// Decoding it takes minutes without optimization.
const SLOW: &str = "400-megapixels";

#[tokio::test]
async fn unusual_files_are_stored_or_refused_and_reported() {
    let bench = Bench::start().await;
    let mut refusals = BTreeMap::new();
    for (name, file) in samples().into_iter().filter(|(name, _)| *name != SLOW) {
        let url = bench.upstream.set(name, Answer::File(file.clone()));
        let id = bench.discover(&url).await;
        let outcome = bench.blobs.outcome(id).await.unwrap().unwrap();
        let answer = bench.answers().await.pop().unwrap();
        match outcome.verdict {
            Verdict::Stored(sha256) => {
                assert_eq!(sha256.as_str(), format!("{:x}", Sha256::digest(&file)), "{name}");
                let stored = answer.decode::<MediaStored>().unwrap().unwrap();
                assert_eq!((stored.id, &stored.sha256, stored.size), (id, &sha256, file.len() as u64), "{name}");
                assert_eq!(read(&bench, &sha256, Variant::Original).await, file, "{name}");
                assert_eq!(sniff(&read(&bench, &sha256, Variant::Poster).await), Some("image/webp"), "{name}");
                assert_eq!(sniff(&read(&bench, &sha256, Variant::Small).await), Some("image/gif"), "{name}");
            }
            Verdict::Refused { refusal, .. } => {
                let refused = answer.decode::<MediaRefused>().unwrap().unwrap();
                assert_eq!((refused.id, refused.refusal), (id, refusal), "{name}");
                refusals.entry(refusal.as_str()).or_insert_with(Vec::new).push(name);
            }
        }
    }
    bench.assert_consistent().await;
    let not_gifs = ["webp", "mp4", "html", "jpeg", "text", "wrong-version", "empty"];
    assert_eq!(refusals["not_a_gif"], not_gifs);
    let over = ["huge-screen", "just-above-400-megapixels", "2001-frames", "403-megapixels-in-all", "601-seconds"];
    assert_eq!(refusals["over_limits"], over);
    assert_eq!(refusals.len(), 3, "the others are damaged: {refusals:?}");
}

async fn read(bench: &Bench, sha256: &gifs_contracts::Sha256, variant: Variant) -> Vec<u8> {
    let (file, body) = bench.media.open(sha256, variant, None).await.unwrap();
    let bytes = body.try_collect::<Vec<_>>().await.unwrap().concat();
    let hash = format!("{:x}", Sha256::digest(&bytes));
    assert_eq!((file.size, file.sha256.as_str()), (bytes.len() as u64, hash.as_str()));
    bytes
}

#[tokio::test]
async fn a_large_animation_gets_a_small_one_of_its_own() {
    let bench = Bench::start().await;
    let url = bench.upstream.set("a", Answer::File(GifFile::animation(400, 100, 3, 5).end()));
    let id = bench.discover(&url).await;
    let Verdict::Stored(sha256) = bench.blobs.outcome(id).await.unwrap().unwrap().verdict else { panic!("refused") };
    let blob = bench.media.get(&sha256).await.unwrap();
    let files: Vec<_> = blob.files.iter().map(|file| (file.variant, file.width, file.height)).collect();
    assert_eq!(files, [(Variant::Original, 400, 100), (Variant::Poster, 400, 100), (Variant::Small, 200, 50)]);
    assert_eq!(bench.objects().await.len(), 3);
    bench.assert_consistent().await;
}

#[tokio::test]
async fn statuses_are_final_or_retried() {
    let bench = Bench::start().await;
    for (status, refusal) in [
        (404, Refusal::Gone),
        (410, Refusal::Gone),
        (401, Refusal::Denied),
        (403, Refusal::Denied),
        (400, Refusal::Unreachable),
        (204, Refusal::Unreachable),
    ] {
        let id = bench.discover(&bench.upstream.set("a", Answer::Status(status))).await;
        let Verdict::Refused { refusal: found, detail } = bench.blobs.outcome(id).await.unwrap().unwrap().verdict
        else {
            panic!("{status} is stored")
        };
        assert_eq!(found, refusal, "{status}");
        assert!(!detail.unwrap().contains("127.0.0.1"));
    }
    let answers = bench.answers().await.len();
    let gif = discovered(&bench.upstream.set("b", Answer::Status(503)));
    let event = event(&gif);
    let failed = bench.deliver(&event).await;
    assert!(matches!(failed, Err(HandlerError::Retry(_))), "{failed:?}");
    assert_eq!((bench.blobs.outcome(gif.id).await.unwrap(), bench.answers().await.len()), (None, answers));
    bench.upstream.set("b", Answer::File(GifFile::animation(4, 4, 2, 5).end()));
    assert_eq!(bench.deliver(&event).await.unwrap(), Handled::Recorded);
    assert!(matches!(bench.blobs.outcome(gif.id).await.unwrap().unwrap().verdict, Verdict::Stored(_)));
}

#[tokio::test]
async fn forbidden_addresses_and_large_files_are_refused() {
    let large = MediaConfig { gif_limit: ByteSize(500), gif_download_allow_private: true, ..MediaConfig::default() };
    for (config, file, refusal) in
        [(MediaConfig::default(), vec![], Refusal::ForbiddenAddress), (large, vec![b'G'; 501], Refusal::TooLarge)]
    {
        let bench = Bench::with(|objects| objects, config).await;
        let id = bench.discover(&bench.upstream.set("a", Answer::File(file))).await;
        let Verdict::Refused { refusal: found, .. } = bench.blobs.outcome(id).await.unwrap().unwrap().verdict else {
            panic!("it is stored")
        };
        assert_eq!(found, refusal);
        assert!(bench.objects().await.is_empty());
    }
    let bench = Bench::start().await;
    let turn = bench.upstream.set("loop", Answer::Status(200));
    bench.upstream.set("loop", Answer::Redirect(turn.clone()));
    for (url, expected) in [
        ("file:///etc/passwd", Refusal::ForbiddenAddress),
        ("no url", Refusal::ForbiddenAddress),
        (&turn, Refusal::Unreachable),
    ] {
        let id = bench.discover(url).await;
        let outcome = bench.blobs.outcome(id).await.unwrap().unwrap();
        assert!(matches!(outcome.verdict, Verdict::Refused { refusal, .. } if refusal == expected), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_gif_is_answered_again_with_what_was_answered_first() {
    let bench = Bench::start().await;
    let gif = discovered(&bench.upstream.animation(1));
    let first = event(&gif);
    bench.deliver(&first).await.unwrap();
    // The same event again, as after a commit that was not acknowledged.
    bench.deliver(&first).await.unwrap();
    assert_eq!(bench.answers().await.len(), 1);
    // Another event, after the provider has replaced the file.
    bench.upstream.set("1.gif", Answer::File(b"<html>".to_vec()));
    bench.deliver(&event(&gif)).await.unwrap();
    let answers = bench.answers().await;
    assert_eq!((answers.len(), &answers[0].data), (2, &answers[1].data));
}

#[tokio::test]
async fn gifs_with_the_same_bytes_share_their_objects() {
    let bench = Bench::start().await;
    let url = bench.upstream.animation(1);
    let ids = [bench.discover(&url).await, bench.discover(&url).await];
    assert_ne!(ids[0], ids[1]);
    assert_eq!((bench.blobs.list(None, 9).await.unwrap().len(), bench.answers().await.len()), (1, 2));
    bench.assert_consistent().await;
}
