//! The queue of waiting calls, and the permits of the batches in flight.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waiting calls, oldest first. While any call waits, all permits are in use.
pub(super) struct Queue<T> {
    permits: usize,
    capacity: usize,
    state: Mutex<QueueState<T>>,
}

struct QueueState<T> {
    /// Number of permits in use.
    used: usize,
    /// The ticket of the next call; tickets rise in the order of arrival.
    next_ticket: u64,
    waiting: VecDeque<(u64, T)>,
}

/// What happens to a call that arrives.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission<C> {
    /// It has a permit, and runs alone.
    Now(C),
    /// It waits, and is identified by this ticket.
    Queued(u64),
    /// It is rejected, because the queue is full.
    Full,
}

impl<T> Queue<T> {
    pub(super) const fn new(permits: usize, capacity: usize) -> Self {
        let state = QueueState { used: 0, next_ticket: 0, waiting: VecDeque::new() };
        Self { permits, capacity, state: Mutex::new(state) }
    }

    /// Admits a call; `waiting` creates its entry if it has to wait.
    pub(super) fn admit<C>(&self, call: C, waiting: impl FnOnce(C) -> T) -> Admission<C> {
        let mut state = self.state();
        if state.used < self.permits {
            state.used += 1;
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

    /// Returns a permit, unless calls are waiting: then it returns false, and the permit belongs to their batch.
    pub(super) fn release(&self) -> bool {
        let mut state = self.state();
        let released = state.waiting.is_empty();
        state.used -= usize::from(released);
        released
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
    fn a_call_waits_only_while_all_permits_are_in_use() {
        let queue = Queue::new(2, 9);
        assert_eq!(queue.admit(0, |call| call), Admission::Now(0));
        assert_eq!(queue.admit(1, |call| call), Admission::Now(1));
        queued(&queue, 2);
        assert!(!queue.release(), "the permit belongs to the batch of the waiting call");
        assert_eq!(queue.take(9), [2]);
        assert!(queue.release() && queue.release());
        assert_eq!(queue.admit(3, |call| call), Admission::Now(3));
    }

    #[test]
    fn the_oldest_calls_are_taken_and_removed_ones_are_not() {
        let queue = Queue::new(0, 5);
        let tickets: Vec<_> = (0..5).map(|call| queued(&queue, call)).collect();
        assert_eq!(queue.admit(5, |call| call), Admission::Full);
        assert!(queue.remove(tickets[1]) && !queue.remove(tickets[1]));
        queued(&queue, 6);
        assert_eq!(queue.take(3), [0, 2, 3]);
        assert!(!queue.remove(tickets[3]), "its batch has taken it");
        assert_eq!(queue.take(9), [4, 6]);
    }
}
