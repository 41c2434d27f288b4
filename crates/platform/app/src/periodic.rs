//! A component that runs a job at an interval.

use std::time::Duration;

use async_trait::async_trait;
use kennel_core::BoxError;
use tokio::time::{MissedTickBehavior, interval};

use crate::{Component, Stop};

/// Runs a job at startup, and then at every interval, until a stop is requested.
///
/// - A job that takes longer than the interval is followed by the next one at once; jobs never overlap.
/// - A failed job is logged, and runs again after the interval.
/// - A stop drops the job that is running, so an interrupted job must need no cleanup.
/// - Every replica runs it, so a job must allow for others that run at the same time.
pub struct Periodic<J> {
    name: &'static str,
    interval: Duration,
    job: J,
}

impl<J, R> Periodic<J>
where
    J: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), BoxError>> + Send,
{
    /// Creates a component called `name` that runs `job` at every interval.
    pub const fn new(name: &'static str, interval: Duration, job: J) -> Self {
        Self { name, interval, job }
    }

    async fn run_forever(&self) {
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = (self.job)().await {
                tracing::warn!(component = self.name, error = &*error as &dyn std::error::Error, "periodic job failed");
            }
        }
    }
}

#[async_trait]
impl<J, R> Component for Periodic<J>
where
    J: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), BoxError>> + Send,
{
    fn name(&self) -> &'static str {
        self.name
    }

    async fn run(self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        tokio::select! {
            () = stop.requested() => {}
            () = self.run_forever() => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::{Instant, sleep};

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    /// The times of the first `runs` runs of a job that takes `duration`, in seconds from the start.
    async fn times(runs: u32, duration: Duration, result: fn() -> Result<(), BoxError>) -> Vec<u64> {
        let (times, mut received) = tokio::sync::mpsc::unbounded_channel();
        let started = Instant::now();
        let job = move || {
            let times = times.clone();
            async move {
                times.send(started.elapsed().as_secs()).ok();
                sleep(duration).await;
                result()
            }
        };
        let running = Box::new(Periodic::new("job", INTERVAL, job)).run(Stop::new());
        let collect = async {
            let mut times = Vec::new();
            for _ in 0..runs {
                times.push(received.recv().await.unwrap());
            }
            times
        };
        tokio::select! {
            times = collect => times,
            _ = running => panic!("it ended"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn jobs_run_at_startup_and_at_every_interval() {
        assert_eq!(times(3, Duration::ZERO, || Ok(())).await, [0, 10, 20]);
        assert_eq!(times(3, Duration::ZERO, || Err("failed".into())).await, [0, 10, 20]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_job_delays_the_next_one() {
        assert_eq!(times(3, Duration::from_secs(15), || Ok(())).await, [0, 15, 30]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_drops_the_running_job() {
        let (stop, ended) = (Stop::new(), Arc::new(AtomicU32::new(0)));
        let count = Arc::clone(&ended);
        let job = move || {
            let ended = Arc::clone(&count);
            async move {
                sleep(Duration::from_hours(1)).await;
                ended.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        };
        let running = Box::new(Periodic::new("job", INTERVAL, job)).run(stop.clone());
        let stopped = async {
            sleep(Duration::from_secs(1)).await;
            stop.request();
        };
        let (result, ()) = tokio::join!(running, stopped);
        result.unwrap();
        assert_eq!(ended.load(Ordering::Relaxed), 0);
    }
}
