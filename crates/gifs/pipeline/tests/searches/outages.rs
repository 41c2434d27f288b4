//! What is answered while a provider, or Redis, is gone.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, interval, timeout};

use crate::scripted::Mode;
use crate::system::{Answer, Replica, System, eventually};

/// An outage: half of the time the provider does not answer; then it refuses connections.
struct Outage {
    seconds: u32,
    /// The number of searches per second.
    rate: u32,
    /// No answer takes longer.
    limit: Duration,
}

impl Outage {
    /// `GIFS_OUTAGE_SECONDS=60` is the long form, for a machine that does nothing else; the short one leaves room for other
    /// tests.
    fn of_environment() -> Self {
        match std::env::var("GIFS_OUTAGE_SECONDS") {
            Ok(seconds) => Self { seconds: seconds.parse().unwrap(), rate: 100, limit: Duration::from_secs(1) },
            Err(_) => Self { seconds: 4, rate: 40, limit: Duration::from_secs(5) },
        }
    }
}

/// What is known about a text before the outage.
#[derive(Debug, Clone, Copy)]
enum Known {
    /// An answer.
    Answer,
    /// GIFs in the catalogue.
    Gifs,
    /// Nothing.
    Nothing,
}

/// The search with this number: what is searched for, and what is known about it.
fn search(number: u32) -> (String, Known) {
    match number % 4 {
        0 | 1 => (format!("cat {}", number % 10), Known::Answer),
        // The words of a title, which nobody has searched for in this order.
        2 => (format!("gif {} cat{}", number / 4 % 25, " cat".repeat(number as usize / 100 % 8)), Known::Gifs),
        _ => (format!("unheard of {number}"), Known::Nothing),
    }
}

fn check(text: &str, known: Known, answer: &Answer) {
    let found = (answer.status, answer.cache(), answer.provider());
    match known {
        Known::Answer => assert_eq!(found, (200, "stale", Some("giphy")), "{text}"),
        Known::Gifs => {
            assert!(found.0 == 200 && found.1 != "stale" && found.2.is_none(), "{text}: {found:?}");
            assert!(answer.gifs() > 0, "{text}");
        }
        Known::Nothing => {
            assert!(answer.status == 503 && answer.retry_after.is_some_and(|delay| delay > 0), "{text}: {answer:?}");
        }
    }
}

/// Searches at a constant rate, however long the answers take. None may take too long.
async fn load(replicas: &[Replica; 2], outage: &Outage, numbers: std::ops::Range<u32>) {
    let began = Instant::now();
    let one = async |number: u32| {
        let (text, known) = search(number);
        let started = Instant::now();
        let answer = replicas[number as usize % 2].search(&text).await;
        check(&text, known, &answer);
        (text, started - began, started.elapsed())
    };
    let mut slow = Vec::new();
    let (mut ticks, mut numbers, mut running) =
        (interval(Duration::from_secs(1) / outage.rate), numbers.peekable(), FuturesUnordered::new());
    while numbers.peek().is_some() || !running.is_empty() {
        tokio::select! {
            _ = ticks.tick(), if numbers.peek().is_some() => running.extend(numbers.next().map(one)),
            Some(answered) = running.next() => slow.extend(Some(answered).filter(|(_, _, took)| *took >= outage.limit)),
        }
    }
    assert!(slow.is_empty(), "text, start and duration of those that took too long: {slow:?}");
}

#[tokio::test]
async fn searches_are_answered_while_the_provider_is_gone() {
    let Some(mut system) = System::start().await else { return };
    let storage = system.storage(&[("GIF_PROVIDER_TIMEOUT", "300ms")]).await;
    let brief = [("SEARCH_FRESH", "100ms"), ("SEARCH_REFRESH", "0s")];
    let replicas = [system.api(&storage, &brief).await, system.api(&storage, &brief).await];
    let known: Vec<_> = (0..40).map(search).filter(|(_, known)| matches!(known, Known::Answer)).collect();
    for (text, _) in &known {
        assert_eq!(replicas[0].search(text).await.status, 200);
    }
    system.provider.set(Mode::Slow(Duration::from_hours(1)));
    for (text, _) in &known {
        eventually("the answer is too old", async || (replicas[0].search(text).await.cache() == "stale").then_some(()))
            .await;
    }
    let outage = Outage::of_environment();
    let each = outage.seconds * outage.rate / 2;
    load(&replicas, &outage, 0..each).await;
    system.provider.stop().await;
    load(&replicas, &outage, each..2 * each).await;
}

#[tokio::test]
async fn searches_are_answered_while_redis_is_gone() {
    let Some(mut system) = System::start().await else { return };
    let storage = system.storage(&[]).await;
    let variables = [("REDIS_TIMEOUT", "250ms"), ("SEARCH_WAIT", "60s")];
    let replicas = [system.api(&storage, &variables).await, system.api(&storage, &variables).await];
    assert_eq!(replicas[0].search("cat").await.cache(), "miss");
    assert_eq!(replicas[1].search("cat").await.cache(), "hit");
    system.redis.kill().await;
    let found = join_all((0..20).map(|number| replicas[number % 2].search("cat")));
    let answers = timeout(Duration::from_secs(20), found).await.unwrap();
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.gifs() == 25), "{answers:?}");
    eventually("each replica asks for itself", async || {
        let before = system.calls();
        join_all(replicas.iter().map(|replica| replica.search("cat"))).await;
        (system.calls() == before + 2).then_some(())
    })
    .await;
    system.redis.run().await;
    eventually("answers are shared again", async || {
        let before = system.calls();
        join_all(replicas.iter().map(|replica| replica.search("cat"))).await;
        (system.calls() == before).then_some(())
    })
    .await;
}
