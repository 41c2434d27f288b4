//! Handles one delivery.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use kennel_core::{Claim, Delivery, Event, Receipt};
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::settlement::{Decision, Settled, Settlement, panicked};
use super::{Handled, Handler, HandlerError};
use crate::attempts::PreviousAttempt;
use crate::metrics::Outcome;

/// A delivery whose processing has ended.
pub(super) struct Completed {
    pub(super) claim: Claim<()>,
    pub(super) settled: Settled,
}

pub(super) struct Worker {
    pub(super) settlement: Settlement,
    pub(super) handler: Arc<dyn Handler>,
}

impl Worker {
    /// Processes a delivery inside its span.
    pub(super) async fn process_in_span(&self, claim: Claim<()>, delivery: Delivery) -> Completed {
        let previous = self.settlement.attempts.take_previous(delivery.event.id);
        let span = self.settlement.span(&delivery, previous.as_ref());
        let settled = self.process(delivery, previous).instrument(span).await;
        Completed { claim, settled }
    }

    async fn process(&self, mut delivery: Delivery, previous: Option<PreviousAttempt>) -> Settled {
        let decision = self.decide(&mut delivery, previous.as_ref()).await;
        self.settlement.conclude(delivery, decision).await
    }

    /// Calls the handler, unless the group has a receipt for the event or no attempts left. From here on the delivery's
    /// attempt number counts handler calls, not deliveries by the broker.
    async fn decide(&self, delivery: &mut Delivery, previous: Option<&PreviousAttempt>) -> Decision {
        let settlement = &self.settlement;
        let event = delivery.event.id;
        match settlement.ports.inbox.seen(settlement.group, event).await {
            Ok(false) => {}
            Ok(true) => return Decision::Done(Outcome::Duplicate),
            Err(error) => return settlement.on_inbox_error(&error, delivery, previous),
        }
        let attempt = match settlement.attempts.begin(delivery, previous).await {
            Ok(attempt) => attempt,
            Err(error) => return settlement.on_inbox_error(&error, delivery, previous),
        };
        delivery.attempt = attempt.number.number;
        if settlement.is_exhausted(delivery.attempt) {
            return settlement.on_attempts_exhausted(delivery);
        }
        let receipt = settlement.receipt(event);
        let recorded = match self.handle(&delivery.event, &receipt).await {
            Ok(Handled::Recorded) => Ok(true),
            Ok(Handled::Done) => settlement.ports.inbox.record(&receipt).await,
            Err(error) => return settlement.on_handler_error(&error, delivery, &attempt).await,
        };
        match recorded {
            Ok(_) => Decision::Done(Outcome::Ok),
            Err(error) => settlement.on_inbox_error(&error, delivery, Some(&PreviousAttempt::uncounted())),
        }
    }

    /// Calls the handler; converts a panic or a timeout to an error.
    async fn handle(&self, event: &Event, receipt: &Receipt) -> Result<Handled, HandlerError> {
        let Settlement { config, metrics, .. } = &self.settlement;
        let started = Instant::now();
        let call = AssertUnwindSafe(async { self.handler.handle(event, receipt).await }).catch_unwind();
        let handled = match timeout(config.handler_timeout, call).await {
            Ok(Ok(handled)) => handled,
            Ok(Err(panic)) => Err(panicked(panic.as_ref())),
            Err(elapsed) => Err(HandlerError::Retry(elapsed.into())),
        };
        metrics.handled(started.elapsed());
        handled
    }
}
