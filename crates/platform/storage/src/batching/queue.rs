//! The queue of waiting calls, and the number of those that run.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::BatchLimits;

/// When calls wait, and when the batches of those that do start.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueueLimits {
    /// Number of running calls, alone and in batches, from which on further ones wait; not less than `batches`. So while a
    /// batch runs, all calls wait for the next one, which is larger for it.
    alone: usize,
    /// Number of calls that run alone, and of batches, below which the next batch starts at once.
    eager: usize,
    /// The same once a call has waited for long.
    batches: usize,
    capacity: usize,
}

impl QueueLimits {
    pub(super) fn of_reads(limits: &BatchLimits) -> Self {
        let batches = limits.in_flight.max(1);
        Self { alone: limits.reads_alone.max(batches), eager: batches, batches, capacity: limits.queue }
    }

    pub(super) fn of_writes(limits: &BatchLimits) -> Self {
        let batches = limits.in_flight.max(1);
        Self { alone: batches, eager: 1, batches, capacity: limits.queue }
    }
}

/// Waiting calls, oldest first. While any call waits, another one or a batch runs.
pub(super) struct Queue<T> {
    limits: QueueLimits,
    state: Mutex<QueueState<T>>,
}

struct QueueState<T> {
    /// Number of calls that run alone, and of batches that run.
    running: usize,
    /// Number of calls that run, alone and in batches.
    running_calls: usize,
    /// The ticket of the next call; tickets rise in the order of arrival.
    next_ticket: u64,
    /// A call has waited for long: batches may overlap.
    is_overdue: bool,
    waiting: VecDeque<(u64, T)>,
}

/// What happens to a call that arrives.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission<C> {
    /// It runs alone.
    Now(C),
    /// It waits, and is identified by this ticket.
    Queued(u64),
    /// It is rejected, because the queue is full.
    Full,
}

impl<T> Queue<T> {
    pub(super) fn new(limits: QueueLimits) -> Self {
        let waiting = VecDeque::new();
        let state = QueueState { running: 0, running_calls: 0, next_ticket: 0, is_overdue: false, waiting };
        Self { limits, state: Mutex::new(state) }
    }

    /// Admits a call; `waiting` creates its entry if it has to wait.
    pub(super) fn admit<C>(&self, call: C, waiting: impl FnOnce(C) -> T) -> Admission<C> {
        let mut state = self.state();
        if state.waiting.is_empty() && state.running_calls < self.limits.alone {
            state.running += 1;
            state.running_calls += 1;
            return Admission::Now(call);
        }
        if state.waiting.len() >= self.limits.capacity {
            return Admission::Full;
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back((ticket, waiting(call)));
        Admission::Queued(ticket)
    }

    /// Takes the oldest calls, at most `max`, which run from now on.
    pub(super) fn take(&self, max: usize) -> Vec<T> {
        let mut state = self.state();
        let count = state.waiting.len().min(max);
        // A call that remains may be the one that has waited for long.
        state.is_overdue &= count < state.waiting.len();
        state.running_calls += count;
        state.waiting.drain(..count).map(|(_, call)| call).collect()
    }

    /// Ends a call that ran alone, or a batch with so many calls. Returns whether a batch of waiting calls has to start,
    /// which counts as running from now on.
    pub(super) fn end(&self, calls: usize) -> bool {
        let mut state = self.state();
        state.running -= 1;
        state.running_calls -= calls;
        self.starts(&mut state)
    }

    /// Whether batches start earlier once a call has waited for long.
    pub(super) const fn may_overlap(&self) -> bool {
        self.limits.eager < self.limits.batches
    }

    /// Reports that a call has waited for long. Returns whether a batch has to start, as [`Self::end`] does.
    pub(super) fn overlap(&self) -> bool {
        let mut state = self.state();
        state.is_overdue = true;
        self.starts(&mut state)
    }

    fn starts(&self, state: &mut QueueState<T>) -> bool {
        let batches = if state.is_overdue { self.limits.batches } else { self.limits.eager };
        let starts = !state.waiting.is_empty() && state.running < batches;
        state.running += usize::from(starts);
        starts
    }

    /// Removes a call that waits. Returns false when its batch has taken it.
    pub(super) fn remove(&self, ticket: u64) -> bool {
        let mut state = self.state();
        let found = state.waiting.binary_search_by_key(&ticket, |(ticket, _)| *ticket);
        let removed = found.ok().and_then(|index| state.waiting.remove(index));
        drop(state);
        removed.is_some()
    }

    fn state(&self) -> MutexGuard<'_, QueueState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(queue: &Queue<u64>, call: u64) -> u64 {
        let Admission::Queued(ticket) = queue.admit(call, |call| call) else { panic!("{call} does not wait") };
        ticket
    }

    #[test]
    fn a_call_waits_while_others_run_and_batches_start_when_few_do() {
        let queue = Queue::new(QueueLimits { alone: 3, eager: 2, batches: 2, capacity: 9 });
        for call in 0..3 {
            assert_eq!(queue.admit(call, |call| call), Admission::Now(call));
        }
        queued(&queue, 3);
        assert!(!queue.end(1), "two still run");
        queued(&queue, 4);
        assert!(queue.end(1), "the second batch that may run");
        assert_eq!(queue.take(9), [3, 4]);
        queued(&queue, 5);
        assert!(queue.end(1), "one batch runs");
        assert_eq!(queue.take(9), [5]);
        assert!(!queue.end(2) && !queue.end(1));
        for call in 6..9 {
            assert_eq!(queue.admit(call, |call| call), Admission::Now(call));
        }
    }

    #[test]
    fn a_call_does_not_run_alone_while_a_batch_of_many_runs() {
        let queue = Queue::new(QueueLimits { alone: 2, eager: 1, batches: 2, capacity: 9 });
        for call in 0..2 {
            assert_eq!(queue.admit(call, |call| call), Admission::Now(call));
        }
        for call in 2..5 {
            queued(&queue, call);
        }
        assert!(!queue.end(1) && queue.end(1));
        assert_eq!(queue.take(9), [2, 3, 4]);
        queued(&queue, 5);
        assert!(queue.end(3));
        assert_eq!(queue.take(9), [5]);
        assert_eq!(queue.admit(6, |call| call), Admission::Now(6), "one call runs");
    }

    #[test]
    fn batches_overlap_only_when_a_call_has_waited_for_long() {
        let queue = Queue::new(QueueLimits { alone: 2, eager: 1, batches: 2, capacity: 9 });
        for call in 0..2 {
            assert_eq!(queue.admit(call, |call| call), Admission::Now(call));
        }
        queued(&queue, 2);
        assert!(!queue.end(1), "one still runs");
        assert!(queue.overlap(), "the one that runs is slow");
        assert_eq!(queue.take(9), [2]);
        queued(&queue, 3);
        assert!(!queue.overlap(), "two run");
        assert!(queue.end(1), "one still runs, but a call has waited for long");
        assert_eq!(queue.take(9), [3]);
        queued(&queue, 4);
        assert!(!queue.end(1), "no call has waited for long since");
        assert!(queue.end(1), "nothing runs");
    }

    #[test]
    fn calls_that_a_full_batch_leaves_still_overlap() {
        let queue = Queue::new(QueueLimits { alone: 2, eager: 1, batches: 2, capacity: 9 });
        for call in 0..2 {
            assert_eq!(queue.admit(call, |call| call), Admission::Now(call));
        }
        for call in 2..5 {
            queued(&queue, call);
        }
        assert!(!queue.overlap(), "two run");
        assert!(queue.end(1), "one is slow");
        assert_eq!(queue.take(2), [2, 3]);
        assert!(queue.end(2), "the slow one still runs, but a call has waited for long");
        assert_eq!(queue.take(2), [4]);
        queued(&queue, 5);
        assert!(!queue.end(1), "no call has waited for long since");
    }

    #[test]
    fn the_oldest_calls_are_taken_and_removed_ones_are_not() {
        let queue = Queue::new(QueueLimits { alone: 0, eager: 0, batches: 0, capacity: 5 });
        let tickets: Vec<_> = (0..5).map(|call| queued(&queue, call)).collect();
        assert_eq!(queue.admit(5, |call| call), Admission::Full);
        assert!(queue.remove(tickets[1]) && !queue.remove(tickets[1]));
        queued(&queue, 6);
        assert_eq!(queue.take(3), [0, 2, 3]);
        assert!(!queue.remove(tickets[3]), "its batch has taken it");
        assert_eq!(queue.take(9), [4, 6]);
    }
}
