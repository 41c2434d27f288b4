//! Per-key ordering: deliveries of one key are processed one after the other, different keys concurrently.

use std::collections::{HashMap, VecDeque};

use kennel_core::Delivery;

/// One queue for each key with a delivery in progress. The queue contains the later deliveries of that key.
#[derive(Default)]
pub(crate) struct KeyQueues {
    queues: HashMap<String, VecDeque<Delivery>>,
    len: usize,
}

impl KeyQueues {
    /// Returns the number of deliveries in progress or queued.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Adds a delivery. Returns it when it can be processed now, because no other one of its key is in progress.
    pub(crate) fn push(&mut self, delivery: Delivery) -> Option<Delivery> {
        self.len += 1;
        if let Some(queue) = self.queues.get_mut(&delivery.event.key) {
            queue.push_back(delivery);
            return None;
        }
        self.queues.insert(delivery.event.key.clone(), VecDeque::new());
        Some(delivery)
    }

    /// Marks the key's delivery in progress as done and returns the next one of the key. When it was not settled, the
    /// queued ones are dropped unsettled, so that none overtakes it; the broker delivers them again in order.
    pub(crate) fn complete(&mut self, key: &str, settled: bool) -> Option<Delivery> {
        self.len -= 1;
        let queue = self.queues.get_mut(key)?;
        let next = if settled { queue.pop_front() } else { None };
        if next.is_none() {
            let dropped = self.queues.remove(key).unwrap_or_default();
            self.len -= dropped.len();
        }
        next
    }

    /// Drops all queued deliveries unsettled; the broker delivers them again.
    pub(crate) fn clear(&mut self) {
        for queue in self.queues.values_mut() {
            self.len -= queue.len();
            queue.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{Broker, event};

    fn delivery(broker: &Broker, id: u128, key: &str) -> Delivery {
        broker.delivery(event(id, key), 1)
    }

    fn id(delivery: Option<Delivery>) -> Option<u128> {
        delivery.map(|delivery| delivery.event.id.as_u128())
    }

    #[test]
    fn one_key_is_sequential_and_keys_are_concurrent() {
        let (broker, mut queues) = (Broker::default(), KeyQueues::default());
        assert_eq!(id(queues.push(delivery(&broker, 1, "rex"))), Some(1));
        assert_eq!(id(queues.push(delivery(&broker, 2, "rex"))), None);
        assert_eq!(id(queues.push(delivery(&broker, 3, "rex"))), None);
        assert_eq!(id(queues.push(delivery(&broker, 4, "bella"))), Some(4));
        assert_eq!(queues.len(), 4);
        assert_eq!(id(queues.complete("rex", true)), Some(2));
        assert_eq!(id(queues.complete("bella", true)), None);
        assert_eq!(id(queues.complete("rex", true)), Some(3));
        assert_eq!(id(queues.complete("rex", true)), None);
        assert_eq!((queues.len(), queues.queues.len()), (0, 0));
    }

    #[test]
    fn queued_deliveries_do_not_overtake_a_failed_one() {
        let (broker, mut queues) = (Broker::default(), KeyQueues::default());
        queues.push(delivery(&broker, 1, "rex")).unwrap();
        assert_eq!(id(queues.push(delivery(&broker, 2, "rex"))), None);
        assert_eq!(id(queues.complete("rex", false)), None);
        assert_eq!((queues.len(), queues.queues.len()), (0, 0));
        assert_eq!(id(queues.push(delivery(&broker, 1, "rex"))), Some(1));
    }

    #[test]
    fn clearing_leaves_only_deliveries_in_progress() {
        let (broker, mut queues) = (Broker::default(), KeyQueues::default());
        queues.push(delivery(&broker, 1, "rex")).unwrap();
        assert_eq!(id(queues.push(delivery(&broker, 2, "rex"))), None);
        queues.clear();
        assert_eq!(queues.len(), 1);
        assert_eq!(id(queues.complete("rex", true)), None);
        assert_eq!(queues.len(), 0);
    }
}
