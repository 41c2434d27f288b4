//! A subscription that is created again whenever it is lost.

use std::sync::Arc;
use std::time::Duration;

use kennel_app::Progress;
use kennel_core::broker::BrokerError;
use kennel_core::{Backoff, Delivery, EventFilter, Group, Subscriber, Subscription};
use tokio::time::{Instant, sleep_until, timeout};

use crate::ConsumerMetrics;

/// Timeout of one attempt to subscribe.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);
/// A subscription without a delivery counts as progress after this time.
const STABLE_AFTER: Duration = Duration::from_secs(5);

/// What to subscribe to.
pub(crate) struct SubscriptionSource {
    pub(crate) subscriber: Arc<dyn Subscriber>,
    pub(crate) topic: &'static str,
    /// The group's name in logs and metrics.
    pub(crate) name: &'static str,
    pub(crate) group: Group,
    pub(crate) filter: EventFilter,
}

/// A subscription that reconnects forever, with a backoff between attempts.
pub(crate) struct ResilientSubscription {
    source: SubscriptionSource,
    backoff: Backoff,
    metrics: ConsumerMetrics,
    current: Option<Box<dyn Subscription>>,
    failures: u32,
    retry_at: Option<Instant>,
    progress: Progress,
    /// When the current subscription counts as progress; `None` if it already does.
    stable_at: Option<Instant>,
}

impl ResilientSubscription {
    pub(crate) fn new(
        source: SubscriptionSource,
        backoff: Backoff,
        metrics: ConsumerMetrics,
        progress: Progress,
    ) -> Self {
        metrics.announce_subscription(source.topic, source.name);
        Self { source, backoff, metrics, current: None, failures: 0, retry_at: None, progress, stable_at: None }
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Tries once to subscribe. A failure is logged, and [`ResilientSubscription::next`] tries again.
    pub(crate) async fn try_subscribe(&mut self) -> bool {
        let SubscriptionSource { subscriber, topic, group, filter, .. } = &self.source;
        match timeout(SUBSCRIBE_TIMEOUT, subscriber.subscribe(topic, group, filter)).await {
            Ok(Ok(subscription)) => {
                self.current = Some(subscription);
                self.stable_at = Some(Instant::now() + STABLE_AFTER);
            }
            Ok(Err(error)) => self.on_lost(Some(&error)),
            Err(elapsed) => self.on_lost(Some(&BrokerError::Unavailable(elapsed.into()))),
        }
        self.current.is_some()
    }

    /// Waits for the next delivery, through any number of failures. `None` means that a new subscription exists, the
    /// first or a later one, so that a broadcast may have missed events before it. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Delivery> {
        loop {
            let Some(subscription) = &mut self.current else {
                if let Some(at) = self.retry_at {
                    sleep_until(at).await;
                }
                if self.try_subscribe().await {
                    return None;
                }
                continue;
            };
            let next = match self.stable_at {
                None => subscription.next().await,
                Some(stable_at) => tokio::select! {
                    biased;
                    next = subscription.next() => next,
                    () = sleep_until(stable_at) => {
                        self.mark_stable();
                        continue;
                    }
                },
            };
            match next {
                Some(Ok(delivery)) => {
                    self.mark_stable();
                    self.failures = 0;
                    return Some(delivery);
                }
                Some(Err(error @ BrokerError::Corrupt(_))) => {
                    let SubscriptionSource { topic, name, .. } = self.source;
                    self.metrics.subscription_error(topic, name);
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        topic,
                        group = name,
                        "skipping unreadable message"
                    );
                }
                Some(Err(error)) => self.on_lost(Some(&error)),
                None => self.on_lost(None),
            }
        }
    }

    fn mark_stable(&mut self) {
        self.stable_at = None;
        self.progress.advanced();
    }

    fn on_lost(&mut self, error: Option<&BrokerError>) {
        let SubscriptionSource { topic, name, .. } = self.source;
        self.current = None;
        self.progress.stalled(format!("no subscription to {topic}"));
        self.failures = self.failures.saturating_add(1);
        let delay = self.backoff.delay(self.failures);
        self.retry_at = Some(Instant::now() + delay);
        self.metrics.subscription_error(topic, name);
        tracing::warn!(
            error = error.map(|error| error as &dyn std::error::Error),
            topic,
            group = name,
            failures = self.failures,
            ?delay,
            "subscription lost"
        );
    }
}
