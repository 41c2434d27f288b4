//! Received messages, in order for each key.

use std::sync::Arc;

use kennel_core::Event;
use kennel_core::key_queues::KeyQueues;

/// A message as it was received from the server.
pub(crate) struct Received<H> {
    /// The event.
    pub(crate) event: Arc<Event>,
    /// Number of deliveries of the event to the group, including this one.
    pub(crate) attempt: u32,
    /// Its partition.
    pub(crate) partition: u16,
    /// Its position in the partition, the same at each delivery; `None` if the server does not report it.
    pub(crate) position: Option<u64>,
    /// Settles the message.
    pub(crate) handle: H,
}

/// Adds a message in the order of positions, or of receipt without positions. A redelivery of a message that is queued
/// already replaces its handle, and ends the wait for it.
pub(super) fn push<H: Clone>(queues: &mut KeyQueues<u16, Received<H>>, received: Received<H>) {
    let Received { event, attempt, partition, position, handle } = &received;
    let is_same = |queued: &Received<H>| position.is_some() && queued.position == *position;
    let is_known = queues.redeliver(partition, &event.key, is_same, |queued, has_waited| {
        queued.handle = handle.clone();
        if has_waited {
            queued.attempt = *attempt;
        }
    });
    if !is_known {
        let (key, partition, position) = (event.key.clone(), *partition, *position);
        queues.insert(partition, key, received, |queued| position.is_some() && queued.position > position);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bytes::Bytes;
    use kennel_core::Timestamp;
    use kennel_core::key_queues::Claim;
    use uuid::Uuid;

    use super::*;

    type Queues = KeyQueues<u16, Received<&'static str>>;

    fn received(number: u64) -> Received<&'static str> {
        let event = Event {
            id: Uuid::from_u128(number.into()),
            name: "tests.happened".to_owned(),
            source: "/tests".to_owned(),
            topic: "tests".to_owned(),
            key: "rex".to_owned(),
            time: Timestamp::from_millis(0).unwrap(),
            content_type: "application/json".to_owned(),
            data: Bytes::new(),
            trace: None,
        };
        Received { event: event.into(), attempt: 1, partition: 0, position: Some(number), handle: "first" }
    }

    fn filled(numbers: &[u64]) -> Queues {
        let mut queues = Queues::default();
        for number in numbers {
            push(&mut queues, received(*number));
        }
        queues
    }

    fn claim(queues: &mut Queues) -> Option<(Claim<u16>, u128)> {
        queues.claim(Instant::now()).map(|(claim, received)| (claim, received.event.id.as_u128()))
    }

    #[test]
    fn a_rejected_event_is_redelivered_before_later_ones() {
        let mut queues = filled(&[1, 2]);
        let (first, _) = claim(&mut queues).unwrap();
        assert!(queues.suspend(&first));
        push(&mut queues, received(3));
        assert!(claim(&mut queues).is_none());
        push(&mut queues, Received { attempt: 2, handle: "again", ..received(1) });
        let (again, redelivered) = queues.claim(Instant::now()).unwrap();
        assert_eq!((redelivered.position, redelivered.attempt, redelivered.handle), (Some(1), 2, "again"));
        queues.complete(&again).unwrap();
        assert_eq!(claim(&mut queues).unwrap().1, 2);
    }

    #[test]
    fn a_queued_event_that_is_redelivered_only_gets_the_newer_handle() {
        let mut queues = filled(&[1, 2]);
        let (first, _) = claim(&mut queues).unwrap();
        for number in [1, 2] {
            push(&mut queues, Received { attempt: 2, handle: "again", ..received(number) });
        }
        let claimed = queues.complete(&first).unwrap();
        assert_eq!((claimed.handle, claimed.attempt, queues.len()), ("again", 1, 1));
        let (second, number) = claim(&mut queues).unwrap();
        assert_eq!((number, queues.complete(&second).unwrap().handle), (2, "again"));
    }

    #[test]
    fn positions_determine_the_order() {
        let mut queues = filled(&[4, 2]);
        let (first, number) = claim(&mut queues).unwrap();
        assert_eq!(number, 2);
        push(&mut queues, received(1));
        push(&mut queues, received(3));
        queues.complete(&first).unwrap();
        let rest = std::iter::from_fn(|| {
            let (claim, number) = claim(&mut queues)?;
            queues.complete(&claim).map(|_| number)
        });
        assert_eq!(rest.collect::<Vec<_>>(), [1, 3, 4], "but nothing precedes a claimed event");
    }

    #[test]
    fn without_positions_the_order_is_that_of_receipt() {
        let mut queues = Queues::default();
        for number in [2, 1, 1, 3] {
            push(&mut queues, Received { position: None, ..received(number) });
        }
        let all = std::iter::from_fn(|| {
            let (claim, number) = claim(&mut queues)?;
            queues.complete(&claim).map(|_| number)
        });
        assert_eq!(all.collect::<Vec<_>>(), [2, 1, 1, 3]);
    }
}
