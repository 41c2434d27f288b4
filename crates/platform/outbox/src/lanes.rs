//! Keeps deliveries of one key one behind the other while those of different keys go side by side.

use std::collections::{HashMap, VecDeque};

use kennel_core::Delivery;

/// One lane for each key that is being worked on. Behind the delivery in work wait those that came after it.
#[derive(Default)]
pub(crate) struct Lanes {
    waiting: HashMap<String, VecDeque<Delivery>>,
    held: usize,
}

impl Lanes {
    /// How many deliveries are in work or wait.
    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    /// Takes a delivery in; hands it back when it may be worked on now.
    pub(crate) fn admit(&mut self, delivery: Delivery) -> Option<Delivery> {
        self.held += 1;
        if let Some(lane) = self.waiting.get_mut(&delivery.event.key) {
            lane.push_back(delivery);
            return None;
        }
        self.waiting.insert(delivery.event.key.clone(), VecDeque::new());
        Some(delivery)
    }

    /// Ends the work on the lane's delivery; answers the next one of its key. When the delivery is to come again,
    /// those behind it are let go unsettled, so that none overtakes it here; the broker gives them out again.
    pub(crate) fn finish(&mut self, key: &str, settled: bool) -> Option<Delivery> {
        self.held -= 1;
        let lane = self.waiting.get_mut(key)?;
        let next = if settled { lane.pop_front() } else { None };
        if next.is_none() {
            let dropped = self.waiting.remove(key).unwrap_or_default();
            self.held -= dropped.len();
        }
        next
    }

    /// Lets go of all that wait; they are delivered again.
    pub(crate) fn clear(&mut self) {
        for lane in self.waiting.values_mut() {
            self.held -= lane.len();
            lane.clear();
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
    fn one_key_goes_in_turn_and_others_beside_it() {
        let (broker, mut lanes) = (Broker::default(), Lanes::default());
        assert_eq!(id(lanes.admit(delivery(&broker, 1, "rex"))), Some(1));
        assert_eq!(id(lanes.admit(delivery(&broker, 2, "rex"))), None);
        assert_eq!(id(lanes.admit(delivery(&broker, 3, "rex"))), None);
        assert_eq!(id(lanes.admit(delivery(&broker, 4, "bella"))), Some(4));
        assert_eq!(lanes.held(), 4);
        assert_eq!(id(lanes.finish("rex", true)), Some(2));
        assert_eq!(id(lanes.finish("bella", true)), None);
        assert_eq!(id(lanes.finish("rex", true)), Some(3));
        assert_eq!(id(lanes.finish("rex", true)), None);
        assert_eq!((lanes.held(), lanes.waiting.len()), (0, 0));
    }

    #[test]
    fn what_stands_behind_a_failure_does_not_overtake_it() {
        let (broker, mut lanes) = (Broker::default(), Lanes::default());
        lanes.admit(delivery(&broker, 1, "rex")).unwrap();
        assert_eq!(id(lanes.admit(delivery(&broker, 2, "rex"))), None);
        assert_eq!(id(lanes.finish("rex", false)), None);
        assert_eq!((lanes.held(), lanes.waiting.len()), (0, 0));
        assert_eq!(id(lanes.admit(delivery(&broker, 1, "rex"))), Some(1));
    }

    #[test]
    fn clearing_keeps_only_what_is_in_work() {
        let (broker, mut lanes) = (Broker::default(), Lanes::default());
        lanes.admit(delivery(&broker, 1, "rex")).unwrap();
        assert_eq!(id(lanes.admit(delivery(&broker, 2, "rex"))), None);
        lanes.clear();
        assert_eq!(lanes.held(), 1);
        assert_eq!(id(lanes.finish("rex", true)), None);
        assert_eq!(lanes.held(), 0);
    }
}
