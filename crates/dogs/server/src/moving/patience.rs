//! Waits for a store that is away for a moment.

use std::time::Duration;

use kennel_core::RepoError;
use kennel_outbox::Backoff;
use tokio::time::{Instant, sleep};

/// How long a store may be away. A copy that gives up goes on from there when it is run again.
const LONGEST: Duration = Duration::from_mins(1);
const PAUSES: Backoff = Backoff { min: Duration::from_millis(100), max: Duration::from_secs(5) };

/// Makes a call that may be made again without harm, and makes it again while the store is away.
pub(super) async fn patiently<T, C>(call: impl Fn() -> C) -> Result<T, RepoError>
where
    C: Future<Output = Result<T, RepoError>>,
{
    let began = Instant::now();
    let mut failures = 0;
    loop {
        match call().await {
            Err(error @ RepoError::Unavailable(_)) if began.elapsed() < LONGEST => {
                failures += 1;
                let delay = PAUSES.delay(failures);
                tracing::warn!(error = &error as &dyn std::error::Error, failures, ?delay, "store is away");
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
    async fn a_store_that_comes_back_is_waited_for_and_one_that_does_not_is_given_up() {
        let calls = AtomicU32::new(0);
        let away = || async {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            if call < 5 { Err(RepoError::Unavailable("away".into())) } else { Ok(call) }
        };
        assert_eq!(patiently(away).await.unwrap(), 5);
        let gone = || async { Err::<(), _>(RepoError::Unavailable("gone".into())) };
        assert!(matches!(patiently(gone).await, Err(RepoError::Unavailable(_))));
        let broken = || async { Err::<(), _>(RepoError::Backend("broken".into())) };
        let began = Instant::now();
        assert!(patiently(broken).await.is_err());
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
