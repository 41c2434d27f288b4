//! Decorators that add spans and metrics to the ports that every database implements.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::outbox::{Backlog, History};
use kennel_core::{DeadLetter, DeadLetterSink, DeadLetters, Event, Inbox, Outbox, Receipt, RepoError, Timestamp};
use kennel_telemetry::as_i64;
use uuid::Uuid;

use crate::DatabaseMetrics;

/// Decorator that records metrics and a span for every call to a port.
///
/// Metrics are recorded for every call, spans only for calls inside another span: the periodic calls of the process
/// itself would otherwise fill the traces.
#[derive(Clone)]
pub struct Instrumented<P: ?Sized> {
    inner: Arc<P>,
    metrics: DatabaseMetrics,
}

impl<P: ?Sized> Instrumented<P> {
    /// Decorates `inner`.
    pub const fn new(inner: Arc<P>, metrics: DatabaseMetrics) -> Self {
        Self { inner, metrics }
    }
}

/// Runs a call of `$self.inner` as `<collection>.<operation>`, with additional fields for its span.
macro_rules! instrument {
    ($self:ident, $collection:literal, $operation:literal, $call:expr $(, $($field:tt)+)?) => {{
        let span = if tracing::Span::current().is_none() {
            tracing::Span::none()
        } else {
            $crate::database_span!($self.metrics.system(), $collection, $operation, $collection $(, $($field)+)?)
        };
        $self.metrics.instrument(concat!($collection, ".", $operation), span, $call).await
    }};
}

#[async_trait]
impl Outbox for Instrumented<dyn Outbox> {
    async fn append(&self, events: &[Event]) -> Result<(), RepoError> {
        let call = self.inner.append(events);
        instrument!(self, "outbox", "append", call, db.operation.batch.size = as_i64(events.len()))
    }

    async fn lease(&self, holder: Uuid, ttl: Duration) -> Result<bool, RepoError> {
        instrument!(self, "outbox", "lease", self.inner.lease(holder, ttl))
    }

    async fn release(&self, holder: Uuid) -> Result<(), RepoError> {
        instrument!(self, "outbox", "release", self.inner.release(holder))
    }

    async fn pending(&self, limit: u32) -> Result<Vec<Event>, RepoError> {
        instrument!(self, "outbox", "pending", self.inner.pending(limit))
    }

    async fn mark_published(&self, ids: &[Uuid], now: Timestamp) -> Result<(), RepoError> {
        let call = self.inner.mark_published(ids, now);
        instrument!(self, "outbox", "mark_published", call, db.operation.batch.size = as_i64(ids.len()))
    }

    async fn backlog(&self) -> Result<Backlog, RepoError> {
        instrument!(self, "outbox", "backlog", self.inner.backlog())
    }

    async fn history(&self, after: Option<Uuid>, limit: u32) -> Result<History, RepoError> {
        instrument!(self, "outbox", "history", self.inner.history(after, limit))
    }

    async fn purge(&self, before: Timestamp, limit: u32) -> Result<u64, RepoError> {
        instrument!(self, "outbox", "purge", self.inner.purge(before, limit))
    }

    async fn wait(&self, timeout: Duration) {
        self.inner.wait(timeout).await;
    }
}

#[async_trait]
impl Inbox for Instrumented<dyn Inbox> {
    async fn seen(&self, group: &str, event: Uuid) -> Result<bool, RepoError> {
        instrument!(self, "inbox", "seen", self.inner.seen(group, event), event.id = %event)
    }

    async fn record(&self, receipt: &Receipt) -> Result<bool, RepoError> {
        instrument!(self, "inbox", "record", self.inner.record(receipt), event.id = %receipt.event)
    }

    async fn list_seen(&self, group: &str, events: &[Uuid]) -> Result<HashSet<Uuid>, RepoError> {
        let call = self.inner.list_seen(group, events);
        instrument!(self, "inbox", "list_seen", call, db.operation.batch.size = as_i64(events.len()))
    }

    async fn record_all(&self, receipts: &[Receipt]) -> Result<HashSet<Uuid>, RepoError> {
        let call = self.inner.record_all(receipts);
        instrument!(self, "inbox", "record_all", call, db.operation.batch.size = as_i64(receipts.len()))
    }

    async fn count_attempt(&self, group: &str, event: Uuid, now: Timestamp) -> Result<u32, RepoError> {
        instrument!(self, "inbox", "count_attempt", self.inner.count_attempt(group, event, now), event.id = %event)
    }

    async fn count_attempts(
        &self,
        group: &str,
        events: &[Uuid],
        now: Timestamp,
    ) -> Result<HashMap<Uuid, u32>, RepoError> {
        let call = self.inner.count_attempts(group, events, now);
        instrument!(self, "inbox", "count_attempts", call, db.operation.batch.size = as_i64(events.len()))
    }

    async fn attempts(&self, group: &str, event: Uuid) -> Result<u32, RepoError> {
        instrument!(self, "inbox", "attempts", self.inner.attempts(group, event), event.id = %event)
    }

    async fn list_attempts(&self, group: &str, events: &[Uuid]) -> Result<HashMap<Uuid, u32>, RepoError> {
        let call = self.inner.list_attempts(group, events);
        instrument!(self, "inbox", "list_attempts", call, db.operation.batch.size = as_i64(events.len()))
    }

    async fn forget(&self, group: &str, event: Uuid) -> Result<(), RepoError> {
        instrument!(self, "inbox", "forget", self.inner.forget(group, event), event.id = %event)
    }
}

#[async_trait]
impl DeadLetterSink for Instrumented<dyn DeadLetterSink> {
    async fn store(&self, dead_letter: &DeadLetter) -> Result<(), RepoError> {
        instrument!(self, "dead_letters", "store", self.inner.store(dead_letter), event.id = %dead_letter.event.id)
    }
}

#[async_trait]
impl DeadLetters for Instrumented<dyn DeadLetters> {
    async fn list(&self, after: Option<Uuid>, limit: u32) -> Result<Vec<DeadLetter>, RepoError> {
        instrument!(self, "dead_letters", "list", self.inner.list(after, limit))
    }

    async fn find(&self, event: Uuid) -> Result<Vec<DeadLetter>, RepoError> {
        instrument!(self, "dead_letters", "find", self.inner.find(event), event.id = %event)
    }

    async fn replay(&self, event: Uuid, now: Timestamp) -> Result<bool, RepoError> {
        instrument!(self, "dead_letters", "replay", self.inner.replay(event, now), event.id = %event)
    }

    async fn discard(&self, event: Uuid) -> Result<bool, RepoError> {
        instrument!(self, "dead_letters", "discard", self.inner.discard(event), event.id = %event)
    }
}

#[cfg(test)]
mod tests {
    use kennel_core::TraceContext;
    use kennel_telemetry::propagation;
    use prometheus::{Registry, TextEncoder};
    use tracing::Instrument as _;

    use super::*;
    use crate::metrics::tests::FixedDatabase;

    /// Has seen every event, and stores no receipt.
    struct FullInbox;

    #[async_trait]
    impl Inbox for FullInbox {
        async fn list_seen(&self, _: &str, events: &[Uuid]) -> Result<HashSet<Uuid>, RepoError> {
            Ok(events.iter().copied().collect())
        }

        async fn record(&self, _: &Receipt) -> Result<bool, RepoError> {
            Err(RepoError::Unavailable("no disk".into()))
        }

        async fn record_all(&self, _: &[Receipt]) -> Result<HashSet<Uuid>, RepoError> {
            Err(RepoError::Unavailable("no disk".into()))
        }

        async fn count_attempts(&self, _: &str, _: &[Uuid], _: Timestamp) -> Result<HashMap<Uuid, u32>, RepoError> {
            Ok(HashMap::new())
        }

        async fn list_attempts(&self, _: &str, _: &[Uuid]) -> Result<HashMap<Uuid, u32>, RepoError> {
            Ok(HashMap::new())
        }

        async fn forget(&self, _: &str, _: Uuid) -> Result<(), RepoError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn calls_have_no_span_in_a_trace_that_is_not_recorded() {
        let (_subscriber, spans) = kennel_testkit::spans::record();
        let metrics = DatabaseMetrics::register(&Registry::new(), Arc::new(FixedDatabase)).unwrap();
        let inbox: Instrumented<dyn Inbox> = Instrumented::new(Arc::new(FullInbox), metrics);
        for (flags, count) in [("00", 0), ("01", 2)] {
            let span = tracing::info_span!("work");
            let traceparent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
            propagation::set_parent(&span, &TraceContext { traceparent, tracestate: None });
            assert!(inbox.seen("g", Uuid::nil()).instrument(span).await.unwrap());
            assert_eq!(spans.get_finished_spans().unwrap().len(), count, "{flags}");
        }
    }

    #[tokio::test]
    async fn calls_have_metrics_always_and_spans_only_inside_other_spans() {
        let (_subscriber, spans) = kennel_testkit::spans::record();
        let registry = Registry::new();
        let metrics = DatabaseMetrics::register(&registry, Arc::new(FixedDatabase)).unwrap();
        let inbox: Instrumented<dyn Inbox> = Instrumented::new(Arc::new(FullInbox), metrics);
        assert!(inbox.seen("g", Uuid::nil()).await.unwrap());
        assert_eq!(spans.get_finished_spans().unwrap().len(), 0, "no span outside another span");

        let at = Timestamp::from_millis(0).unwrap();
        let receipt = Receipt { group: "g".to_owned(), event: Uuid::nil(), at };
        inbox.record(&receipt).instrument(tracing::info_span!("work")).await.unwrap_err();
        let spans = spans.get_finished_spans().unwrap();
        let [call, work] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!((call.name.as_ref(), call.parent_span_id), ("db.inbox.record", work.span_context.span_id()));
        let attributes: Vec<_> = call.attributes.iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect();
        for pair in
            ["db.system.name=fixed", "db.collection.name=inbox", "db.operation.name=record", "error.type=unavailable"]
        {
            assert!(attributes.iter().any(|found| found == pair), "{pair} in {attributes:?}");
        }
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            r#"database_query_duration_seconds_count{backend="fixed",operation="inbox.seen",outcome="ok"} 1"#,
            r#"database_query_duration_seconds_count{backend="fixed",operation="inbox.record",outcome="error"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
