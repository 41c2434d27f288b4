//! Runs work on many rows in small batches.

use kennel_core::RepoError;
use tokio::time::{Instant, sleep};

/// Rows of a batch.
const BATCH_ROWS: u32 = 1_000;
/// Smallest batch that is tried after larger ones timed out.
const MIN_BATCH_ROWS: u32 = 10;

/// Calls `batch` with a maximum number of rows until it returns 0, and returns the total.
///
/// After each batch it sleeps for as long as the batch took, so that other work gets at least half of the store's time.
/// A batch that fails with [`RepoError::Unavailable`] is repeated with fewer rows, down to a minimum; other errors are
/// returned at once. Cancel-safe: a finished batch stays finished.
pub async fn in_batches<F>(mut batch: impl FnMut(u32) -> F) -> Result<u64, RepoError>
where
    F: Future<Output = Result<u64, RepoError>>,
{
    let mut all = 0;
    let mut rows = BATCH_ROWS;
    loop {
        let started = Instant::now();
        match batch(rows).await {
            Ok(0) => return Ok(all),
            Ok(found) => all += found,
            Err(RepoError::Unavailable(_)) if rows > MIN_BATCH_ROWS => rows /= 10,
            Err(error) => return Err(error),
        }
        sleep(started.elapsed()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_continues_until_a_batch_is_empty_and_sleeps_in_between() {
        let mut left = 2_500;
        let started = Instant::now();
        let remove = |rows: u32| {
            let removed = left.min(u64::from(rows));
            left -= removed;
            async move {
                sleep(Duration::from_secs(1)).await;
                Ok(removed)
            }
        };
        assert_eq!(in_batches(remove).await.unwrap(), 2_500);
        assert_eq!(started.elapsed(), Duration::from_secs(4 + 3));
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
    async fn an_unreachable_store_ends_the_work() {
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
