//! How often a provider is asked while it answers.

use std::time::Duration;

use futures_util::future::join_all;

use crate::scripted::Mode;
use crate::system::{Replica, System, eventually};

#[tokio::test]
async fn a_thousand_misses_of_one_query_on_two_replicas_are_one_call() {
    let Some(system) = System::start().await else { return };
    let storage = system.storage(&[("GIF_PROVIDER_TIMEOUT", "30s")]).await;
    // Only a replica that ends is not waited for.
    let wait = [("SEARCH_WAIT", "60s")];
    let replicas = [system.api(&storage, &wait).await, system.api(&storage, &wait).await];
    for (text, mode, gifs) in [("cat", Mode::Slow(Duration::from_millis(500)), 25), ("nothing", Mode::Empty, 0)] {
        let before = system.calls();
        system.provider.set(mode);
        let answers = join_all((0..1_000).map(|number| replicas[number % 2].search(text))).await;
        assert!(answers.iter().all(|answer| answer.status == 200 && answer.gifs() == gifs), "{answers:?}");
        let count = |cache| answers.iter().filter(|answer| answer.cache() == cache).count();
        assert_eq!((count("miss"), count("hit")), (1, 999));
        assert_eq!(system.calls() - before, 1, "{text}");
    }
}

#[tokio::test]
async fn an_answer_is_renewed_in_the_background_by_one_replica() {
    let Some(system) = System::start().await else { return };
    let storage = system.storage(&[]).await;
    // It is due after a second, and never too old.
    let lasting = [("SEARCH_FRESH", "1h"), ("SEARCH_REFRESH", "3599s"), ("SEARCH_WAIT", "60s")];
    let replicas = [system.api(&storage, &lasting).await, system.api(&storage, &lasting).await];
    let first = replicas[0].search("cat").await;
    assert_eq!((first.cache(), system.calls()), ("miss", 1));
    let renewed = async |replica: &Replica| {
        let answer = replica.search("cat").await;
        assert_eq!((answer.status, answer.cache(), answer.gifs()), (200, "hit", 25));
        answer.fetched_at() != first.fetched_at()
    };
    eventually("both replicas have a newer answer", async || {
        let (one, other) = tokio::join!(renewed(&replicas[0]), renewed(&replicas[1]));
        (one && other).then_some(())
    })
    .await;
    assert_eq!(system.calls(), 2, "one replica has asked");

    // A renewal that fails leaves the answer as it is.
    system.provider.set(Mode::Answer(500, None, String::new()));
    eventually("a renewal has failed", async || {
        renewed(&replicas[0]).await;
        (system.calls() > 2).then_some(())
    })
    .await;
    assert!(renewed(&replicas[1]).await);
}
