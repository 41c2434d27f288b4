//! Timeouts between two items of a long request's body.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use kennel_app::Stop;
use kennel_core::BoxError;
use tokio::time::{sleep, timeout};

/// How long a client may send nothing before the request counts as interrupted.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a running request may continue after the process was asked to stop.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Passes the items on. Ends with an error when no item arrives for a minute, or five seconds after the process
/// was asked to stop.
pub fn with_idle_timeout<T: Send, E: Into<BoxError>>(
    stop: Stop,
    items: impl Stream<Item = Result<T, E>> + Send,
) -> impl Stream<Item = Result<T, BoxError>> + Send {
    let grace_over = async move {
        stop.requested().await;
        sleep(STOP_GRACE).await;
    };
    stream::unfold(Some((Box::pin(items), Box::pin(grace_over))), |state| async move {
        let (mut items, mut grace_over) = state?;
        tokio::select! {
            biased;
            next = timeout(IDLE_TIMEOUT, items.next()) => match next {
                Ok(item) => item.map(|item| (item.map_err(Into::into), Some((items, grace_over)))),
                Err(elapsed) => Some((Err(elapsed.into()), None)),
            },
            () = &mut grace_over => Some((Err("the process is stopping".into()), None)),
        }
    })
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn one_item_then_nothing() -> impl Stream<Item = Result<&'static str, BoxError>> + Send {
        stream::iter([Ok("a")]).chain(stream::pending())
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_times_out() {
        let mut items = Box::pin(with_idle_timeout(Stop::new(), one_item_then_nothing()));
        assert_eq!(items.next().await.unwrap().unwrap(), "a");
        let started = Instant::now();
        assert!(items.next().await.unwrap().is_err());
        assert_eq!(started.elapsed(), IDLE_TIMEOUT);
        assert!(items.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_grants_running_requests_a_grace_period() {
        let stop = Stop::new();
        let mut items = Box::pin(with_idle_timeout(stop.clone(), one_item_then_nothing()));
        stop.request();
        assert_eq!(items.next().await.unwrap().unwrap(), "a");
        let started = Instant::now();
        assert!(items.next().await.unwrap().is_err());
        assert_eq!(started.elapsed(), STOP_GRACE);
        assert!(items.next().await.is_none());
    }
}
