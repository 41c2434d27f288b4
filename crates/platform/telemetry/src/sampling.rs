//! Which traces are sent: all of the new ones while they are few, and no more than so many a second, each one whole.
//!
//! Past what the exporter can take, its queue would drop single spans, and leave traces with holes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use crate::otel::Sampling;

const SECOND: u64 = 1_000_000_000;

/// The sampler: a share of the traces that begin here, and at most `limit` of them a second; 0 is no limit. A trace that
/// a caller began counts as begun here where its decision is not kept. Spans follow the span that they are in.
pub(crate) fn sampler(sampling: Sampling, limit: u32) -> impl ShouldSample + use<> {
    let share = Sampler::TraceIdRatioBased(sampling.share);
    let pace = (limit > 0).then(|| Arc::new(Pace::new(limit)));
    let begun_here = Limited { share, pace };
    Sampled { follows: Sampler::ParentBased(Box::new(begun_here.clone())), begun_here, sampling }
}

#[derive(Debug, Clone)]
struct Sampled {
    follows: Sampler,
    begun_here: Limited,
    sampling: Sampling,
}

impl ShouldSample for Sampled {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let callers = parent.is_some_and(|parent| parent.span().span_context().is_remote());
        if callers && !self.sampling.keeps_callers {
            return self.begun_here.should_sample(parent, trace, name, kind, attributes, links);
        }
        self.follows.should_sample(parent, trace, name, kind, attributes, links)
    }
}

#[derive(Debug, Clone)]
struct Limited {
    share: Sampler,
    pace: Option<Arc<Pace>>,
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
        if result.decision == SamplingDecision::RecordAndSample && !self.pace.as_ref().is_none_or(|pace| pace.admits())
        {
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
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};

    use super::*;

    const ALL: Sampling = Sampling { share: 1.0, keeps_callers: true };

    /// The span that another is in: a caller's, or one of this process.
    fn parent(flags: TraceFlags, remote: bool) -> Context {
        let ids = SpanContext::new(TraceId::from(7), SpanId::from(7), flags, remote, TraceState::default());
        Context::new().with_remote_span_context(ids)
    }

    fn samples(sampler: &impl ShouldSample, parent: Option<&Context>) -> bool {
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
        let sampler = sampler(ALL, 1);
        assert!(samples(&sampler, None));
        assert!(!samples(&sampler, None), "past the limit");
        let parent = parent(TraceFlags::SAMPLED, true);
        assert!((0..10).all(|_| samples(&sampler, Some(&parent))));
    }

    #[test]
    fn what_a_caller_decided_can_be_passed_over_and_a_trace_stays_whole() {
        let (taken, left) = (parent(TraceFlags::SAMPLED, true), parent(TraceFlags::default(), true));
        let (inner, outer) = (parent(TraceFlags::SAMPLED, false), parent(TraceFlags::default(), false));
        let on = sampler(Sampling { share: 1.0, keeps_callers: false }, 1);
        assert!(samples(&on, Some(&left)), "always_on takes what the caller left");
        assert!(!samples(&on, Some(&taken)), "past the limit");
        assert!((0..10).all(|_| samples(&on, Some(&inner))), "spans of a trace that is sent are sent");
        assert!(!samples(&on, Some(&outer)));
        let off = sampler(Sampling { share: 0.0, keeps_callers: false }, 0);
        assert!(!samples(&off, Some(&taken)), "always_off leaves what the caller took");
        let off = sampler(Sampling { share: 0.0, keeps_callers: true }, 0);
        assert!(samples(&off, Some(&taken)) && !samples(&off, None));
    }

    #[test]
    fn without_a_limit_the_share_alone_counts() {
        let all = sampler(ALL, 0);
        assert!((0..10_000).all(|_| samples(&all, None)));
        assert!(!samples(&sampler(Sampling { share: 0.0, ..ALL }, 1000), None));
    }
}
