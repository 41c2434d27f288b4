//! The queue of waiting calls, and the number of those that run.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waiting calls, oldest first. While any call waits, at least `batches` calls or batches run.
pub(super) struct Queue<T> {
    /// Number of running calls from which on further ones wait; not less than `batches`.
    alone: usize,
    /// Number of running calls and batches below which the next batch starts.
    batches: usize,
    capacity: usize,
    state: Mutex<QueueState<T>>,
}

struct QueueState<T> {
    /// Number of calls that run alone, and of batches that run.
    running: usize,
    /// The ticket of the next call; tickets rise in the order of arrival.
    next_ticket: u64,
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
    pub(super) fn new(alone: usize, batches: usize, capacity: usize) -> Self {
        let state = QueueState { running: 0, next_ticket: 0, waiting: VecDeque::new() };
        Self { alone: alone.max(batches), batches, capacity, state: Mutex::new(state) }
    }

    /// Admits a call; `waiting` creates its entry if it has to wait.
    pub(super) fn admit<C>(&self, call: C, waiting: impl FnOnce(C) -> T) -> Admission<C> {
        let mut state = self.state();
        if state.waiting.is_empty() && state.running < self.alone {
            state.running += 1;
            return Admission::Now(call);
        }
        if state.waiting.len() >= self.capacity {
            return Admission::Full;
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back((ticket, waiting(call)));
        Admission::Queued(ticket)
    }

    /// Takes the oldest calls, at most `max`.
    pub(super) fn take(&self, max: usize) -> Vec<T> {
        let mut state = self.state();
        let count = state.waiting.len().min(max);
        state.waiting.drain(..count).map(|(_, call)| call).collect()
    }

    /// Ends a call or a batch. Returns whether a batch of waiting calls has to start, which counts as running from now on.
    pub(super) fn end(&self) -> bool {
        let mut state = self.state();
        state.running -= 1;
        let starts = !state.waiting.is_empty() && state.running < self.batches;
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
        let queue = Queue::new(3, 2, 9);
        for call in 0..3 {
            assert_eq!(queue.admit(call, |call| call), Admission::Now(call));
        }
        queued(&queue, 3);
        assert!(!queue.end(), "two still run");
        queued(&queue, 4);
        assert!(queue.end(), "the second batch that may run");
        assert_eq!(queue.take(9), [3, 4]);
        assert_eq!(queue.admit(5, |call| call), Admission::Now(5), "nothing waits");
        assert!(!queue.end() && !queue.end() && !queue.end());
        for call in 6..9 {
            assert_eq!(queue.admit(call, |call| call), Admission::Now(call));
        }
    }

    #[test]
    fn the_oldest_calls_are_taken_and_removed_ones_are_not() {
        let queue = Queue::new(0, 0, 5);
        let tickets: Vec<_> = (0..5).map(|call| queued(&queue, call)).collect();
        assert_eq!(queue.admit(5, |call| call), Admission::Full);
        assert!(queue.remove(tickets[1]) && !queue.remove(tickets[1]));
        queued(&queue, 6);
        assert_eq!(queue.take(3), [0, 2, 3]);
        assert!(!queue.remove(tickets[3]), "its batch has taken it");
        assert_eq!(queue.take(9), [4, 6]);
    }
}
