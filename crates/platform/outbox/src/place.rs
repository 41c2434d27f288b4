//! A place in a group that is taken again whenever it is lost.

use std::sync::Arc;
use std::time::Duration;

use kennel_app::Progress;
use kennel_core::broker::BrokerError;
use kennel_core::{Delivery, Group, Subscriber, Subscription};
use tokio::time::{Instant, sleep_until, timeout};

use crate::{Backoff, ConsumerMetrics};

/// How long a broker may take to answer a subscription.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a subscription without a delivery has to last to count as progress.
const LASTING: Duration = Duration::from_secs(5);

/// A subscription that is made again for ever, however often it fails.
pub(crate) struct Place {
    subscriber: Arc<dyn Subscriber>,
    topic: &'static str,
    /// The group's name in logs and metrics.
    name: &'static str,
    group: Group,
    backoff: Backoff,
    metrics: ConsumerMetrics,
    current: Option<Box<dyn Subscription>>,
    failures: u32,
    retry_at: Option<Instant>,
    progress: Progress,
    /// When the current subscription counts as progress; none when it does.
    lasting_at: Option<Instant>,
}

impl Place {
    pub(crate) fn new(
        subscriber: Arc<dyn Subscriber>,
        topic: &'static str,
        name: &'static str,
        group: Group,
        backoff: Backoff,
        metrics: ConsumerMetrics,
        progress: Progress,
    ) -> Self {
        metrics.announce_subscription(topic, name);
        Self {
            subscriber,
            topic,
            name,
            group,
            backoff,
            metrics,
            current: None,
            failures: 0,
            retry_at: None,
            progress,
            lasting_at: None,
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Tries once to take the place; a failure is logged and left for [`Place::next`] to mend.
    pub(crate) async fn join(&mut self) -> bool {
        match timeout(SUBSCRIBE_TIMEOUT, self.subscriber.subscribe(self.topic, &self.group)).await {
            Ok(Ok(subscription)) => {
                self.current = Some(subscription);
                self.lasting_at = Some(Instant::now() + LASTING);
            }
            Ok(Err(error)) => self.leave(Some(&error)),
            Err(elapsed) => self.leave(Some(&BrokerError::Unavailable(elapsed.into()))),
        }
        self.current.is_some()
    }

    /// Waits for the next delivery, through any number of failures. `None` tells that the place is taken, at first or
    /// again, so that a broadcast may have missed events before. Loses nothing when its future is dropped.
    pub(crate) async fn next(&mut self) -> Option<Delivery> {
        loop {
            let Some(subscription) = &mut self.current else {
                if let Some(at) = self.retry_at {
                    sleep_until(at).await;
                }
                if self.join().await {
                    return None;
                }
                continue;
            };
            let next = match self.lasting_at {
                None => subscription.next().await,
                Some(lasting_at) => tokio::select! {
                    biased;
                    next = subscription.next() => next,
                    () = sleep_until(lasting_at) => {
                        self.count_as_lasting();
                        continue;
                    }
                },
            };
            match next {
                Some(Ok(delivery)) => {
                    self.count_as_lasting();
                    self.failures = 0;
                    return Some(delivery);
                }
                Some(Err(error @ BrokerError::Corrupt(_))) => {
                    self.metrics.subscription_error(self.topic, self.name);
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        topic = self.topic,
                        group = self.name,
                        "message is skipped"
                    );
                }
                Some(Err(error)) => self.leave(Some(&error)),
                None => self.leave(None),
            }
        }
    }

    fn count_as_lasting(&mut self) {
        self.lasting_at = None;
        self.progress.advanced();
    }

    fn leave(&mut self, error: Option<&BrokerError>) {
        self.current = None;
        self.progress.stalled(format!("no subscription to {}", self.topic));
        self.failures = self.failures.saturating_add(1);
        let delay = self.backoff.delay(self.failures);
        self.retry_at = Some(Instant::now() + delay);
        self.metrics.subscription_error(self.topic, self.name);
        tracing::warn!(
            error = error.map(|error| error as &dyn std::error::Error),
            topic = self.topic,
            group = self.name,
            failures = self.failures,
            ?delay,
            "subscription is lost"
        );
    }
}
