//! Batch consumers that get several events of a key at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kennel_core::{Event, EventFilter, EventType as _};
use kennel_outbox::{BatchHandler, BatchItem, BatchResults, Handled, HandlerError};

use crate::fixture::{Fixture, Traded, eventually, number, run_alongside, trade};

/// What happens to the trade with the number that is poisoned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Poison {
    None,
    /// It can never be handled.
    Permanent,
    /// It fails once.
    Once,
    /// The whole batch fails, each time.
    Batch,
}

const POISONED: i64 = 21;

/// Stores the numbers of each symbol in the order in which they are handled.
struct Ledger {
    poison: Poison,
    recognizes: bool,
    effects: Mutex<BTreeMap<String, Vec<i64>>>,
    batches: Mutex<Vec<usize>>,
    failures: Mutex<usize>,
}

impl Ledger {
    fn new(poison: Poison) -> Arc<Self> {
        let (effects, batches, failures) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Self { poison, recognizes: false, effects, batches, failures })
    }

    fn count(&self) -> usize {
        self.effects.lock().unwrap().values().map(Vec::len).sum()
    }

    /// All numbers but the missing ones are there, in order.
    fn assert_complete(&self, missing: &[i64]) {
        let expected = |symbol: i64| (0..50).map(move |n| n * 2 + symbol).filter(|n| !missing.contains(n));
        for (symbol, numbers) in (0..).zip(self.effects.lock().unwrap().values()) {
            assert_eq!(*numbers, expected(symbol).collect::<Vec<_>>());
        }
    }

    fn handle_one(&self, item: &BatchItem) -> Result<Handled, HandlerError> {
        let is_poisoned = number(&item.event) == POISONED;
        match self.poison {
            Poison::Permanent if is_poisoned => return Err(HandlerError::Permanent("poisoned".into())),
            Poison::Once if is_poisoned && *self.failures.lock().unwrap() == 0 => {
                *self.failures.lock().unwrap() += 1;
                return Err(HandlerError::Retry("poisoned".into()));
            }
            _ => {}
        }
        self.effects.lock().unwrap().entry(item.event.key.clone()).or_default().push(number(&item.event));
        Ok(if self.recognizes { Handled::Recorded } else { Handled::Done })
    }
}

#[async_trait]
impl BatchHandler for Ledger {
    fn filter(&self) -> EventFilter {
        EventFilter::names([Traded::NAME])
    }

    fn recognizes_duplicates(&self) -> bool {
        self.recognizes
    }

    async fn handle(&self, batch: &[BatchItem]) -> Result<BatchResults, HandlerError> {
        self.batches.lock().unwrap().push(batch.len());
        if self.poison == Poison::Batch && batch.iter().any(|item| number(&item.event) == POISONED) {
            return Err(HandlerError::Retry("poisoned".into()));
        }
        let mut failed = None;
        let mut handle = |item: &BatchItem| {
            if failed.as_ref() == Some(&item.event.key) {
                return Err(HandlerError::Retry("an earlier one failed".into()));
            }
            let result = self.handle_one(item);
            if let Err(HandlerError::Retry(_)) = result {
                failed = Some(item.event.key.clone());
            }
            result
        };
        Ok(batch.iter().map(&mut handle).collect())
    }
}

/// A hundred trades of two symbols.
fn trades() -> Vec<Event> {
    (0..100).map(|n| trade(&format!("S{}", n % 2), n)).collect()
}

async fn run(fixture: &Fixture, ledger: &Arc<Ledger>, trades: &[Event]) {
    run_alongside(fixture.run_consumer(Arc::clone(ledger) as Arc<_>), async {
        fixture.publish(trades).await;
        fixture.until_handled(trades).await;
        fixture.until_settled().await;
    })
    .await;
}

async fn dead_letters(fixture: &Fixture) -> Vec<(i64, u32)> {
    let dead = fixture.dead_letters.list(None, 10).await.unwrap();
    dead.iter().map(|dead| (number(&dead.event), dead.attempts)).collect()
}

pub(crate) async fn several_events_of_a_key_are_one_batch_in_order(fixture: &Fixture) {
    let ledger = Ledger::new(Poison::None);
    run(fixture, &ledger, &trades()).await;
    ledger.assert_complete(&[]);
    let batches = ledger.batches.lock().unwrap().len();
    assert!(batches < 50, "{batches} batches for 100 events of 2 keys");
}

pub(crate) async fn a_poisoned_event_becomes_a_dead_letter_alone(fixture: &Fixture) {
    let ledger = Ledger::new(Poison::Permanent);
    run(fixture, &ledger, &trades()).await;
    ledger.assert_complete(&[POISONED]);
    assert_eq!(dead_letters(fixture).await, [(POISONED, 1)]);
}

pub(crate) async fn what_follows_a_retried_event_waits_for_it(fixture: &Fixture) {
    let ledger = Ledger::new(Poison::Once);
    run(fixture, &ledger, &trades()).await;
    ledger.assert_complete(&[]);
    assert_eq!(dead_letters(fixture).await, []);
}

pub(crate) async fn after_a_batch_fails_a_key_is_handled_in_order(fixture: &Fixture) {
    let ledger = Ledger::new(Poison::Batch);
    run(fixture, &ledger, &trades()).await;
    ledger.assert_complete(&[POISONED]);
    assert_eq!(dead_letters(fixture).await, [(POISONED, 3)]);
}

pub(crate) async fn a_handler_that_recognizes_duplicates_has_no_receipts(fixture: &Fixture) {
    let ledger = Arc::new(Ledger { recognizes: true, ..Arc::into_inner(Ledger::new(Poison::None)).unwrap() });
    let ids = run_alongside(fixture.run_consumer(Arc::clone(&ledger) as Arc<_>), async {
        // Not older than the consumer, so that these are no repetitions.
        let trades = trades();
        fixture.publish(&trades).await;
        eventually("handled", async || ledger.count() >= trades.len()).await;
        fixture.until_settled().await;
        trades.iter().map(|event| event.id).collect::<Vec<_>>()
    })
    .await;
    ledger.assert_complete(&[]);
    let receipts = fixture.database.inbox.list_seen(crate::fixture::GROUP, &ids).await.unwrap();
    assert_eq!(receipts.len(), 0);
}
