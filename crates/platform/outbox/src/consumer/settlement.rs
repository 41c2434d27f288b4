//! Decides how deliveries are settled, and settles them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kennel_core::{Backoff, Delivery, Receipt, RepoError};
use kennel_telemetry::propagation;
use tracing::Span;
use uuid::Uuid;

use super::{ConsumerConfig, ConsumerPorts, HandlerError};
use crate::attempts::{Attempt, Attempts, PreviousAttempt};
use crate::metrics::{GroupMetrics, Outcome};
use crate::span;

/// Maximum length of the reason in a dead letter, in bytes.
const MAX_REASON_BYTES: usize = 1_000;
/// Pauses while a dependency is unavailable. Work continues at most this long after the dependency is back.
const PAUSE: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));

/// How a delivery is settled.
pub(crate) enum Decision {
    Done(Outcome),
    Retry(PreviousAttempt),
    /// A dependency is unavailable: retry after this time, and begin nothing else before.
    Wait(Duration),
    /// An earlier event of its key comes again: this one follows it. What is known of its previous attempt is retained.
    Follow(Option<PreviousAttempt>),
    GiveUp {
        reason: String,
    },
}

impl Decision {
    pub(crate) const fn outcome(&self) -> Outcome {
        match self {
            Self::Done(outcome) => *outcome,
            Self::Retry(_) | Self::Wait(_) | Self::Follow(_) => Outcome::Retry,
            Self::GiveUp { .. } => Outcome::DeadLetter,
        }
    }
}

/// How a delivery was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    Finally,
    /// It will be delivered again.
    ForLater,
    /// It will be delivered again; nothing should be begun before this time has passed.
    ForAfter(Duration),
}

/// What the members of a consumer group need to settle deliveries.
pub(crate) struct Settlement {
    pub(crate) group: &'static str,
    pub(crate) topic: &'static str,
    pub(crate) config: ConsumerConfig,
    pub(crate) ports: ConsumerPorts,
    pub(crate) attempts: Attempts,
    pub(crate) metrics: GroupMetrics,
    /// Attempts since the last success that failed because a dependency was unavailable.
    unavailable: AtomicU32,
}

impl Settlement {
    pub(crate) fn new(group: &'static str, topic: &'static str, config: ConsumerConfig, ports: ConsumerPorts) -> Self {
        let metrics = ports.metrics.group(topic, group);
        let (inbox, clock) = (Arc::clone(&ports.inbox), Arc::clone(&ports.clock));
        let attempts = Attempts::new(group, inbox, clock, ports.quarantine.clone());
        Self { group, topic, config, ports, attempts, metrics, unavailable: AtomicU32::new(0) }
    }

    /// Settles a delivery inside the span of its attempt.
    pub(crate) async fn conclude(&self, delivery: Delivery, decision: Decision) -> Settled {
        let outcome = decision.outcome();
        let (previous, settled) = match &decision {
            Decision::Retry(previous) => (Some(previous.clone()), Settled::ForLater),
            Decision::Wait(pause) => (Some(PreviousAttempt::uncounted()), Settled::ForAfter(*pause)),
            Decision::Follow(previous) => (previous.clone(), Settled::ForLater),
            Decision::Done(_) | Decision::GiveUp { .. } => (None, Settled::Finally),
        };
        if let Some(previous) = previous {
            let previous = PreviousAttempt { trace: propagation::current(), ..previous };
            self.attempts.store_previous(delivery.event.id, previous);
        }
        if outcome == Outcome::Ok {
            self.metrics.fresh(self.ports.clock.now().since(delivery.event.time));
            if self.unavailable.swap(0, Ordering::Relaxed) > 0 {
                tracing::info!(group = self.group, "dependency is available again");
            }
        }
        self.settle(delivery, decision).await;
        self.metrics.consumed(outcome);
        settled
    }

    /// Whether an attempt with this number is one too many.
    pub(crate) fn is_exhausted(&self, number: u32) -> bool {
        number > self.config.max_attempts.max(1)
    }

    /// The handler failed: retries later, or gives up.
    pub(crate) async fn on_handler_error(
        &self,
        error: &HandlerError,
        delivery: &mut Delivery,
        attempt: &Attempt,
    ) -> Decision {
        if let HandlerError::Unavailable(_) = error {
            return self.wait(error, delivery);
        }
        let (event, group) = (delivery.event.id, self.group);
        match self.attempts.failed(attempt, event).await {
            Ok(number) => delivery.attempt = number,
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, event.id = %event, group, "cannot count attempt");
            }
        }
        self.after_failure(error, delivery)
    }

    /// The handler failed, and the attempt is counted: retries later, or gives up.
    pub(crate) fn after_failure(&self, error: &HandlerError, delivery: &Delivery) -> Decision {
        Span::current().record("otel.status_code", "ERROR");
        let (event, group) = (delivery.event.id, self.group);
        let (cause, attempt) = (error as &dyn std::error::Error, delivery.attempt);
        if matches!(error, HandlerError::Permanent(_)) || attempt >= self.config.max_attempts {
            tracing::error!(
                error = cause, event.id = %event, group, attempt,
                "handler failed, event becomes a dead letter"
            );
            Decision::GiveUp { reason: reason(cause) }
        } else {
            tracing::warn!(error = cause, event.id = %event, group, attempt, "handler failed, event will be retried");
            Decision::Retry(PreviousAttempt::failed())
        }
    }

    /// The handler cannot handle any event now. Only the beginning of an outage is a warning.
    pub(crate) fn wait(&self, error: &HandlerError, delivery: &Delivery) -> Decision {
        Span::current().record("otel.status_code", "ERROR");
        let (event, group) = (delivery.event.id, self.group);
        let cause = error as &dyn std::error::Error;
        let before = self.unavailable.fetch_add(1, Ordering::Relaxed);
        if before == 0 {
            tracing::warn!(error = cause, event.id = %event, group, "dependency is unavailable, events wait");
        } else {
            tracing::debug!(error = cause, event.id = %event, group, "dependency is still unavailable");
        }
        Decision::Wait(PAUSE.delay(before.saturating_add(1)))
    }

    /// All attempts are used and none has returned: each time the process terminated first.
    pub(crate) fn on_attempts_exhausted(&self, delivery: &mut Delivery) -> Decision {
        Span::current().record("otel.status_code", "ERROR");
        delivery.attempt -= 1;
        let (event, group, attempt) = (delivery.event.id, self.group, delivery.attempt);
        tracing::error!(
            event.id = %event, group, attempt,
            "handler terminates the process, event becomes a dead letter"
        );
        Decision::GiveUp { reason: "the process terminated during each attempt to handle the event".to_owned() }
    }

    /// The inbox failed, which is not the handler's failure: retries without a limit. The record of the `known`
    /// previous attempt is retained.
    pub(crate) fn on_inbox_error(
        &self,
        error: &RepoError,
        delivery: &Delivery,
        known: Option<&PreviousAttempt>,
    ) -> Decision {
        Span::current().record("otel.status_code", "ERROR");
        let (event, group, attempt) = (delivery.event.id, self.group, delivery.attempt);
        let cause = error as &dyn std::error::Error;
        tracing::warn!(error = cause, event.id = %event, group, attempt, "inbox unavailable, event will be retried");
        Decision::Retry(known.cloned().unwrap_or_default())
    }

    async fn settle(&self, delivery: Delivery, decision: Decision) {
        let event = delivery.event.id;
        let is_given_up = matches!(decision, Decision::GiveUp { .. });
        let settled = match decision {
            Decision::Done(_) => delivery.ack().await,
            Decision::Retry(_) => {
                let delay = self.config.backoff.delay(delivery.attempt);
                delivery.nack(delay).await
            }
            Decision::Wait(pause) => delivery.nack(pause).await,
            // Dropped unsettled, it is delivered again without a delay of its own.
            Decision::Follow(_) => return,
            Decision::GiveUp { reason } => delivery.dead_letter(&reason).await,
        };
        // The broker delivers it again, and the inbox recognizes it.
        if let Err(error) = settled {
            let cause = &error as &dyn std::error::Error;
            tracing::warn!(error = cause, event.id = %event, group = self.group, "cannot settle delivery");
            return;
        }
        // A duplicate, as from a relay that was killed before it marked the event, would otherwise get all attempts
        // again.
        if is_given_up && let Err(error) = self.ports.inbox.record(&self.receipt(event)).await {
            let cause = &error as &dyn std::error::Error;
            tracing::warn!(error = cause, event.id = %event, group = self.group, "cannot record receipt");
        }
    }

    pub(crate) fn receipt(&self, event: Uuid) -> Receipt {
        Receipt { group: self.group.to_owned(), event, at: self.ports.clock.now() }
    }

    /// Creates the span of one delivery, linked to the previous attempt if that ran in this process.
    pub(crate) fn span(&self, delivery: &Delivery, previous: Option<&PreviousAttempt>) -> Span {
        let span = span::process(self.ports.system, self.group, &delivery.event, delivery.attempt);
        if let Some(trace) = previous.and_then(|previous| previous.trace.as_ref()) {
            propagation::add_link(&span, trace);
        }
        span
    }
}

pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> HandlerError {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    HandlerError::Retry(format!("handler panicked: {}", text.unwrap_or("no text")).into())
}

/// Returns the error and its sources on one line, truncated to [`MAX_REASON_BYTES`].
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text.truncate(text.floor_char_boundary(MAX_REASON_BYTES));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_a_limit() {
        let long = HandlerError::Permanent("\u{fc}".repeat(2_000).into());
        let text = reason(&long);
        assert!(text.len() <= MAX_REASON_BYTES && text.len() > MAX_REASON_BYTES - 2, "{}", text.len());
    }
}
