//! Work of many rows, done a few at a time.

use kennel_core::RepoError;
use tokio::time::{Instant, sleep};

/// Rows in a batch.
const ROWS: u32 = 1_000;
/// Rows in a batch once larger ones have failed.
const ROWS_MIN: u32 = 10;

/// Calls `batch` with a number of rows until it answers that it has found none, and answers how many it has found in
/// all. After each batch it rests for as long as that took, so that others get at least half of the store's time. A
/// batch that the store does not manage in time is tried again with fewer rows. It may be dropped at any point: a batch
/// that is done stays done.
pub async fn in_batches<F>(mut batch: impl FnMut(u32) -> F) -> Result<u64, RepoError>
where
    F: Future<Output = Result<u64, RepoError>>,
{
    let mut all = 0;
    let mut rows = ROWS;
    loop {
        let begun = Instant::now();
        match batch(rows).await {
            Ok(0) => return Ok(all),
            Ok(found) => all += found,
            Err(RepoError::Unavailable(_)) if rows > ROWS_MIN => rows /= 10,
            Err(error) => return Err(error),
        }
        sleep(begun.elapsed()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_until_none_is_found_and_rests_in_between() {
        let mut left = 2_500;
        let begun = Instant::now();
        let remove = |rows: u32| {
            let removed = left.min(u64::from(rows));
            left -= removed;
            async move {
                sleep(Duration::from_secs(1)).await;
                Ok(removed)
            }
        };
        assert_eq!(in_batches(remove).await.unwrap(), 2_500);
        assert_eq!(begun.elapsed(), Duration::from_secs(4 + 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_store_gets_smaller_batches() {
        let mut left = 250;
        let mut asked = Vec::new();
        let remove = |rows: u32| {
            asked.push(rows);
            let removed = if rows > 100 { None } else { Some(left.min(u64::from(rows))) };
            left -= removed.unwrap_or_default();
            async move { removed.ok_or_else(|| RepoError::Unavailable("too slow".into())) }
        };
        assert_eq!(in_batches(remove).await.unwrap(), 250);
        assert_eq!(asked, [1_000, 100, 100, 100, 100]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_unreachable_ends_it() {
        let mut calls = 0;
        let result = in_batches(|_| {
            calls += 1;
            async { Err(RepoError::Unavailable("no one there".into())) }
        });
        assert!(matches!(result.await, Err(RepoError::Unavailable(_))));
        assert_eq!(calls, 3);
        let mut calls = 0;
        let result = in_batches(|_| {
            calls += 1;
            async { Err(RepoError::Backend("no such table".into())) }
        });
        assert!(matches!(result.await, Err(RepoError::Backend(_))));
        assert_eq!(calls, 1);
    }
}
