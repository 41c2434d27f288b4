//! Retries calls to a store that is temporarily unavailable.

use std::time::Duration;

use kennel_core::{Backoff, RepoError};
use tokio::time::{Instant, sleep};

/// How long a store may be unavailable. A copy that fails after that resumes when it is run again.
const UNAVAILABLE_TIMEOUT: Duration = Duration::from_mins(1);
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// Runs an idempotent call, and retries it while the store is unavailable.
pub(super) async fn retry_unavailable<T, C>(call: impl Fn() -> C) -> Result<T, RepoError>
where
    C: Future<Output = Result<T, RepoError>>,
{
    let started = Instant::now();
    let mut failures = 0;
    loop {
        match call().await {
            Err(error @ RepoError::Unavailable(_)) if started.elapsed() < UNAVAILABLE_TIMEOUT => {
                failures += 1;
                let delay = BACKOFF.delay(failures);
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    failures,
                    ?delay,
                    "store is unavailable, retrying"
                );
                sleep(delay).await;
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn unavailable_stores_are_retried_until_the_timeout() {
        let calls = AtomicU32::new(0);
        let recovers = || async {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            if call < 5 { Err(RepoError::Unavailable("unreachable".into())) } else { Ok(call) }
        };
        assert_eq!(retry_unavailable(recovers).await.unwrap(), 5);
        let unreachable = || async { Err::<(), _>(RepoError::Unavailable("unreachable".into())) };
        assert!(matches!(retry_unavailable(unreachable).await, Err(RepoError::Unavailable(_))));
        let broken = || async { Err::<(), _>(RepoError::Backend("broken".into())) };
        let started = Instant::now();
        assert!(retry_unavailable(broken).await.is_err());
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
