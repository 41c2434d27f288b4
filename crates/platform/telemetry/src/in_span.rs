//! Work inside a span.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tracing::Span;

/// Work inside a span, which is dropped as soon as it has ended. [`tracing::instrument::Instrumented`] would enter the span
/// once more for that, which is a large share of a small request's telemetry.
///
/// It must not be polled after it has ended.
pub struct InSpan<F: ?Sized> {
    span: Span,
    work: Option<Pin<Box<F>>>,
}

impl<F: ?Sized> InSpan<F> {
    /// Runs `work` inside `span`.
    pub const fn new(span: Span, work: Pin<Box<F>>) -> Self {
        Self { span, work: Some(work) }
    }
}

impl<F: Future + ?Sized> Future for InSpan<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { span, work } = &mut *self;
        let Some(running) = work else { return Poll::Pending };
        let _entered = span.enter();
        let ended = ready!(running.as_mut().poll(cx));
        *work = None;
        Poll::Ready(ended)
    }
}

impl<F: ?Sized> Drop for InSpan<F> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.span.in_scope(|| drop(work));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Reports the span in which it is dropped.
    struct Dropped<'a>(&'a mut Option<Span>);

    impl Drop for Dropped<'_> {
        fn drop(&mut self) {
            *self.0 = Some(Span::current());
        }
    }

    #[test]
    fn work_runs_and_is_dropped_inside_the_span() {
        let (_subscriber, _spans) = kennel_testkit::spans::record();
        let span = tracing::info_span!("work");
        for ends in [true, false] {
            let mut dropped_in = None;
            let dropped = Dropped(&mut dropped_in);
            let work = async {
                let _dropped = dropped;
                if !ends {
                    std::future::pending::<()>().await;
                }
                Span::current()
            };
            let mut work = Box::pin(InSpan::new(span.clone(), Box::pin(work)));
            let polled = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(polled.map(|current| current == span), if ends { Poll::Ready(true) } else { Poll::Pending });
            drop(work);
            assert_eq!(dropped_in, Some(span.clone()), "ends: {ends}");
            assert_ne!(Span::current(), span);
        }
    }
}
