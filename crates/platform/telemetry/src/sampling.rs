//! Sampling of traces: a ratio, and a maximum number of new traces per second.
//!
//! Without the maximum, the exporter's queue would overflow and drop single spans, which leaves incomplete traces.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use crate::otel::Sampling;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Creates the sampler: a ratio of the traces that start here, and at most `limit` of them per second; 0 means no
/// limit. A caller's trace counts as one that starts here if sampling is not parent-based. Child spans follow their
/// parent span.
pub(crate) fn sampler(sampling: Sampling, limit: u32) -> impl ShouldSample + use<> {
    let ratio_sampler = Sampler::TraceIdRatioBased(sampling.ratio);
    let rate_limiter = (limit > 0).then(|| Arc::new(RateLimiter::new(limit)));
    let root = RateLimitedSampler { ratio_sampler, rate_limiter };
    ConfiguredSampler { parent_based: Sampler::ParentBased(Box::new(root.clone())), root, sampling }
}

#[derive(Debug, Clone)]
struct ConfiguredSampler {
    parent_based: Sampler,
    root: RateLimitedSampler,
    sampling: Sampling,
}

impl ShouldSample for ConfiguredSampler {
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
        if callers && !self.sampling.parent_based {
            return self.root.should_sample(parent, trace, name, kind, attributes, links);
        }
        self.parent_based.should_sample(parent, trace, name, kind, attributes, links)
    }
}

#[derive(Debug, Clone)]
struct RateLimitedSampler {
    ratio_sampler: Sampler,
    rate_limiter: Option<Arc<RateLimiter>>,
}

impl ShouldSample for RateLimitedSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let mut result = self.ratio_sampler.should_sample(parent, trace, name, kind, attributes, links);
        if result.decision == SamplingDecision::RecordAndSample
            && !self.rate_limiter.as_ref().is_none_or(|limiter| limiter.try_acquire())
        {
            result.decision = SamplingDecision::Drop;
        }
        result
    }
}

/// Token bucket: a rate per second, with a burst of one second's permits.
#[derive(Debug)]
struct RateLimiter {
    began: Instant,
    /// Nanoseconds per permit.
    cost: u64,
    /// Nanoseconds, counted from one second before `began`, that are used by permits.
    used: AtomicU64,
}

impl RateLimiter {
    fn new(limit: u32) -> Self {
        Self { began: Instant::now(), cost: NANOS_PER_SECOND / u64::from(limit.max(1)), used: AtomicU64::new(0) }
    }

    fn try_acquire(&self) -> bool {
        let passed = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.try_acquire_at(passed)
    }

    fn try_acquire_at(&self, passed: u64) -> bool {
        let next = |used: u64| {
            let used = used.max(passed).saturating_add(self.cost);
            (used <= passed.saturating_add(NANOS_PER_SECOND)).then_some(used)
        };
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};

    use super::*;

    const ALL: Sampling = Sampling { ratio: 1.0, parent_based: true };

    /// A parent span: of a caller, or of this process.
    fn parent(flags: TraceFlags, remote: bool) -> Context {
        let ids = SpanContext::new(TraceId::from(7), SpanId::from(7), flags, remote, TraceState::default());
        Context::new().with_remote_span_context(ids)
    }

    fn samples(sampler: &impl ShouldSample, parent: Option<&Context>) -> bool {
        let result = sampler.should_sample(parent, TraceId::from(7), "work", &SpanKind::Server, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn one_second_is_the_burst_and_then_the_rate_holds() {
        let rate_limiter = RateLimiter::new(10);
        let acquired = |passed| (0..100).filter(|_| rate_limiter.try_acquire_at(passed)).count();
        assert_eq!(acquired(0), 10);
        assert_eq!(acquired(NANOS_PER_SECOND / 20), 0);
        assert_eq!(acquired(NANOS_PER_SECOND / 10), 1);
        assert_eq!(acquired(NANOS_PER_SECOND), 9);
        assert_eq!(acquired(100 * NANOS_PER_SECOND), 10, "the burst is limited to one second");
    }

    #[test]
    fn the_callers_decision_holds_past_the_limit() {
        let sampler = sampler(ALL, 1);
        assert!(samples(&sampler, None));
        assert!(!samples(&sampler, None), "past the limit");
        let parent = parent(TraceFlags::SAMPLED, true);
        assert!((0..10).all(|_| samples(&sampler, Some(&parent))));
    }

    #[test]
    fn the_callers_decision_can_be_ignored_and_traces_stay_complete() {
        let (used, left) = (parent(TraceFlags::SAMPLED, true), parent(TraceFlags::default(), true));
        let (inner, outer) = (parent(TraceFlags::SAMPLED, false), parent(TraceFlags::default(), false));
        let on = sampler(Sampling { ratio: 1.0, parent_based: false }, 1);
        assert!(samples(&on, Some(&left)), "always_on samples what the caller did not");
        assert!(!samples(&on, Some(&used)), "past the limit");
        assert!((0..10).all(|_| samples(&on, Some(&inner))), "spans of a trace that is sent are sent");
        assert!(!samples(&on, Some(&outer)));
        let off = sampler(Sampling { ratio: 0.0, parent_based: false }, 0);
        assert!(!samples(&off, Some(&used)), "always_off drops what the caller sampled");
        let off = sampler(Sampling { ratio: 0.0, parent_based: true }, 0);
        assert!(samples(&off, Some(&used)) && !samples(&off, None));
    }

    #[test]
    fn without_a_limit_only_the_ratio_counts() {
        let all = sampler(ALL, 0);
        assert!((0..10_000).all(|_| samples(&all, None)));
        assert!(!samples(&sampler(Sampling { ratio: 0.0, ..ALL }, 1000), None));
    }
}
