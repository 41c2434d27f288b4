//! The quota of a provider, over all replicas.

use futures_util::future::join_all;

use crate::system::{Answer, Replica, System};

const QUOTA: &str = "20";
const LIMIT: usize = 20;

/// Searches that nobody has made yet, at both replicas at once.
async fn searches(replicas: &[Replica; 2], round: usize) -> Vec<Answer> {
    let texts: Vec<_> = (0..60).map(|number| format!("dog {round} {number}")).collect();
    join_all(texts.iter().enumerate().map(|(number, text)| replicas[number % 2].search(text))).await
}

#[tokio::test]
async fn replicas_and_restarts_do_not_exceed_the_quota() {
    let Some(system) = System::start().await else { return };
    let quota = [("GIPHY_HOURLY_QUOTA", QUOTA), ("GIF_PROVIDER_TIMEOUT", "30s")];
    for round in 0..3 {
        // Each round has new processes; those of the last one were killed.
        let storages = [system.storage(&quota).await, system.storage(&quota).await];
        let replicas = [system.api(&storages[0], &[]).await, system.api(&storages[1], &[]).await];
        let before = system.calls();
        let answers = searches(&replicas, round).await;
        let answered = answers.iter().filter(|answer| answer.provider() == Some("giphy")).count();
        assert_eq!(answered, system.calls() - before);
        for answer in answers.iter().filter(|answer| answer.provider().is_none()) {
            let retry_after = answer.retry_after.unwrap_or_default();
            assert!(answer.status == 503 && (1..=3_900).contains(&retry_after), "{answer:?}");
        }
        // Of requests at the same time, too many can be refused.
        let mut number = 0;
        while replicas[0].search(&format!("bird {round} {number}")).await.status == 200 {
            number += 1;
        }
        assert_eq!(system.calls(), LIMIT, "all of the quota is used, and no more");
    }
}
