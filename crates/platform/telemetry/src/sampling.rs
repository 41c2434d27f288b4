//! Which new traces are sent: all of them while they are few, and no more than so many a second, each one whole.
//!
//! Past what the exporter can take, its queue would drop single spans, and leave traces with holes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use opentelemetry::trace::{Link, SpanKind, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

const SECOND: u64 = 1_000_000_000;

/// The sampler of traces that no caller has decided on: `ratio` of them, and at most `limit` a second; 0 is no limit.
pub(crate) fn sampler(ratio: f64, limit: u32) -> Sampler {
    let share = Sampler::TraceIdRatioBased(ratio);
    Sampler::ParentBased(match limit {
        0 => Box::new(share),
        limit => Box::new(Limited { share, pace: Arc::new(Pace::new(limit)) }),
    })
}

#[derive(Debug, Clone)]
struct Limited {
    share: Sampler,
    pace: Arc<Pace>,
}

impl ShouldSample for Limited {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let mut result = self.share.should_sample(parent, trace, name, kind, attributes, links);
        if result.decision == SamplingDecision::RecordAndSample && !self.pace.admits() {
            result.decision = SamplingDecision::Drop;
        }
        result
    }
}

/// So many a second, and those of one second at once after a quiet time.
#[derive(Debug)]
struct Pace {
    began: Instant,
    /// Nanoseconds of which each takes up one share.
    share: u64,
    /// Nanoseconds since a second before `began` that are taken up.
    taken: AtomicU64,
}

impl Pace {
    fn new(limit: u32) -> Self {
        Self { began: Instant::now(), share: SECOND / u64::from(limit.max(1)), taken: AtomicU64::new(0) }
    }

    fn admits(&self) -> bool {
        let passed = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.admits_after(passed)
    }

    fn admits_after(&self, passed: u64) -> bool {
        let next = |taken: u64| {
            let taken = taken.max(passed).saturating_add(self.share);
            (taken <= passed.saturating_add(SECOND)).then_some(taken)
        };
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceState};

    use super::*;

    fn samples(sampler: &Sampler, parent: Option<&Context>) -> bool {
        let result = sampler.should_sample(parent, TraceId::from(7), "work", &SpanKind::Server, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn those_of_a_second_pass_at_once_and_then_at_the_pace() {
        let pace = Pace::new(10);
        let admitted = |passed| (0..100).filter(|_| pace.admits_after(passed)).count();
        assert_eq!(admitted(0), 10);
        assert_eq!(admitted(SECOND / 20), 0);
        assert_eq!(admitted(SECOND / 10), 1);
        assert_eq!(admitted(SECOND), 9);
        assert_eq!(admitted(100 * SECOND), 10, "a long quiet time counts for a second");
    }

    #[test]
    fn what_a_caller_decided_is_kept_past_the_limit() {
        let sampler = sampler(1.0, 1);
        assert!(samples(&sampler, None));
        assert!(!samples(&sampler, None), "past the limit");
        let ids = SpanContext::new(TraceId::from(7), SpanId::from(7), TraceFlags::SAMPLED, true, TraceState::default());
        let parent = Context::new().with_remote_span_context(ids);
        assert!((0..10).all(|_| samples(&sampler, Some(&parent))));
    }

    #[test]
    fn without_a_limit_the_share_alone_counts() {
        let all = sampler(1.0, 0);
        assert!((0..10_000).all(|_| samples(&all, None)));
        assert!(!samples(&sampler(0.0, 1000), None));
    }
}
