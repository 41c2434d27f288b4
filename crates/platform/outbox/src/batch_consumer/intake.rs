//! Collects deliveries into batches.

use std::collections::HashMap;
use std::pin::pin;

use futures_util::FutureExt as _;
use kennel_core::Delivery;
use tokio::time::{Instant, timeout_at};

use super::BatchLimits;
use crate::resilient_subscription::ResilientSubscription;

pub(super) struct Intake {
    limits: BatchLimits,
    /// A delivery that did not fit into the last batch.
    next: Option<Delivery>,
    /// When the last batch ended, if it had several events.
    busy_at: Option<Instant>,
}

/// The deliveries of a batch. One that is dropped is delivered again.
#[derive(Default)]
struct Collected {
    deliveries: Vec<Delivery>,
    /// The runs of consecutive events, by key.
    runs: HashMap<String, Run>,
    bytes: usize,
}

/// Consecutive events of one key.
struct Run {
    count: usize,
    /// The index of the last one.
    last: usize,
}

impl Intake {
    pub(super) const fn new(limits: BatchLimits) -> Self {
        Self { limits, next: None, busy_at: None }
    }

    /// Records that a batch of this size has been processed.
    pub(super) fn ended(&mut self, count: usize) {
        self.busy_at = (count > 1).then(Instant::now);
    }

    /// Waits for a delivery; returns it with those that are delivered by now, or soon if the consumer is busy.
    pub(super) async fn next(&mut self, subscription: &mut ResilientSubscription) -> Vec<Delivery> {
        let mut batch = Collected::default();
        if let Some(next) = self.next.take() {
            let key = next.event.key.clone();
            batch.add(next);
            self.extend_run(&mut batch, &key);
        }
        let mut linger_until = None;
        while !self.is_full(&batch) {
            let received = if batch.deliveries.is_empty() {
                subscription.next().await
            } else if let Some(ready) = pin!(subscription.next()).now_or_never() {
                ready
            } else {
                let now = Instant::now();
                let until = *linger_until.get_or_insert_with(|| self.linger_until(now));
                let Ok(received) = timeout_at(until, subscription.next()).await else {
                    self.extend_runs(&mut batch);
                    break;
                };
                received
            };
            match received {
                Some(delivery) if self.fits(&batch, &delivery) => {
                    let key = delivery.event.key.clone();
                    batch.add(delivery);
                    self.extend_run(&mut batch, &key);
                }
                Some(delivery) => {
                    self.next = Some(delivery);
                    break;
                }
                // A new subscription delivers again what the previous one has delivered.
                None => batch = Collected::default(),
            }
        }
        batch.deliveries
    }

    /// Adds the events that were received since to the runs, if more than one event of a key is permitted.
    fn extend_runs(&self, batch: &mut Collected) {
        let keys: Vec<_> = batch.runs.keys().cloned().collect();
        for key in keys {
            self.extend_run(batch, &key);
        }
    }

    fn extend_run(&self, batch: &mut Collected, key: &str) {
        while !self.is_full(batch)
            && let Some(run) = batch.runs.get(key)
            && run.count < self.limits.of_key
            && let Some(next) = batch.deliveries.get(run.last).and_then(Delivery::successor)
        {
            batch.add(next);
        }
    }

    /// Returns until when an incomplete batch waits for more; `now` if the consumer is idle.
    fn linger_until(&self, now: Instant) -> Instant {
        let is_busy = self.busy_at.is_some_and(|busy_at| now < busy_at + self.limits.linger);
        if is_busy { now + self.limits.linger } else { now }
    }

    fn is_full(&self, batch: &Collected) -> bool {
        batch.deliveries.len() >= self.limits.events.max(1) || batch.bytes >= self.limits.bytes.max(1)
    }

    /// Returns whether the delivery may be in this batch. The broker delivers the events of a key one after the other, but
    /// may deliver one again while an earlier delivery of it is unsettled.
    fn fits(&self, batch: &Collected, delivery: &Delivery) -> bool {
        let has_space = batch.bytes + delivery.event.data.len() <= self.limits.bytes;
        batch.deliveries.is_empty() || (has_space && !batch.runs.contains_key(&delivery.event.key))
    }
}

impl Collected {
    fn add(&mut self, delivery: Delivery) {
        self.bytes += delivery.event.data.len();
        let last = self.deliveries.len();
        match self.runs.get_mut(&delivery.event.key) {
            Some(run) => *run = Run { count: run.count + 1, last },
            None => drop(self.runs.insert(delivery.event.key.clone(), Run { count: 1, last })),
        }
        self.deliveries.push(delivery);
    }
}
