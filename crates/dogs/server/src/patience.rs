//! How long a transport waits for the next part of a long request.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use kennel_app::Stop;
use kennel_core::BoxError;
use tokio::time::{sleep, timeout};

/// How long a caller may send nothing before the request counts as interrupted.
const IDLE: Duration = Duration::from_mins(1);
/// How long a request in hand may go on once the process is to stop.
const GRACE: Duration = Duration::from_secs(5);

/// The items; an error in place of the next one, and then no more, when nothing comes for [`IDLE`] or the process has
/// been stopping for [`GRACE`].
pub(crate) fn patient<T: Send, E: Into<BoxError>>(
    stop: Stop,
    items: impl Stream<Item = Result<T, E>> + Send,
) -> impl Stream<Item = Result<T, BoxError>> + Send {
    let ending = async move {
        stop.requested().await;
        sleep(GRACE).await;
    };
    stream::unfold(Some((Box::pin(items), Box::pin(ending))), |state| async move {
        let (mut items, mut ending) = state?;
        tokio::select! {
            biased;
            next = timeout(IDLE, items.next()) => match next {
                Ok(item) => item.map(|item| (item.map_err(Into::into), Some((items, ending)))),
                Err(elapsed) => Some((Err(elapsed.into()), None)),
            },
            () = &mut ending => Some((Err("the process stops".into()), None)),
        }
    })
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn one_and_silence() -> impl Stream<Item = Result<&'static str, BoxError>> + Send {
        stream::iter([Ok("a")]).chain(stream::pending())
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_goes_quiet_is_not_waited_for() {
        let mut items = Box::pin(patient(Stop::new(), one_and_silence()));
        assert_eq!(items.next().await.unwrap().unwrap(), "a");
        let began = Instant::now();
        assert!(items.next().await.unwrap().is_err());
        assert_eq!(began.elapsed(), IDLE);
        assert!(items.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_leaves_a_moment_for_what_is_in_hand() {
        let stop = Stop::new();
        let mut items = Box::pin(patient(stop.clone(), one_and_silence()));
        stop.request();
        assert_eq!(items.next().await.unwrap().unwrap(), "a");
        let began = Instant::now();
        assert!(items.next().await.unwrap().is_err());
        assert_eq!(began.elapsed(), GRACE);
        assert!(items.next().await.is_none());
    }
}
