//! Batch consumers.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kennel_app::{Component as _, Stop};
use kennel_core::{Event, EventFilter, EventType as _, Inbox, Receipt, RepoError, Timestamp};
use kennel_outbox::{BatchHandler, BatchItem, BatchResults, Handled, HandlerError};
use uuid::Uuid;

use crate::fixture::{Fixture, Traded, eventually, number, run_alongside, trade};

/// Its effect is idempotent, as an upsert: it stores the number of each trade by its id.
#[derive(Default)]
struct Index {
    effects: Mutex<BTreeMap<Uuid, i64>>,
    batches: Mutex<Vec<Vec<Event>>>,
    /// Panics at trades with negative numbers, instead of failing them.
    panics: bool,
}

impl Index {
    fn calls(&self) -> Vec<Event> {
        self.batches.lock().unwrap().iter().flatten().cloned().collect()
    }

    fn effects(&self) -> Vec<i64> {
        let mut effects: Vec<_> = self.effects.lock().unwrap().values().copied().collect();
        effects.sort_unstable();
        effects
    }
}

#[async_trait]
impl BatchHandler for Index {
    fn filter(&self) -> EventFilter {
        EventFilter::names([Traded::NAME])
    }

    async fn handle(&self, batch: &[BatchItem]) -> Result<BatchResults, HandlerError> {
        self.batches.lock().unwrap().push(batch.iter().map(|item| Event::clone(&item.event)).collect());
        assert!(!self.panics || batch.iter().all(|item| number(&item.event) >= 0), "negative");
        let handle = |item: &BatchItem| {
            let number = number(&item.event);
            if number < 0 {
                return Err(HandlerError::Retry("negative".into()));
            }
            self.effects.lock().unwrap().insert(item.event.id, number);
            Ok(Handled::Done)
        };
        Ok(batch.iter().map(handle).collect())
    }
}

fn trades(count: i64) -> Vec<Event> {
    (0..count).map(|number| trade(&format!("S{}", number % 50), number)).collect()
}

pub(crate) async fn a_batch_is_handled_in_the_order_of_each_key(fixture: &Fixture) {
    let (index, trades) = (Arc::new(Index::default()), trades(400));
    run_alongside(fixture.batch_consumer(Arc::clone(&index) as Arc<_>), async {
        fixture.publish(&trades).await;
        fixture.until_handled(&trades).await;
        fixture.until_settled().await;
    })
    .await;
    assert_eq!(index.effects(), (0..400).collect::<Vec<_>>());
    let mut by_key = HashMap::<_, Vec<_>>::new();
    for event in index.calls() {
        by_key.entry(event.key.clone()).or_default().push(number(&event));
    }
    assert!(by_key.values().all(|numbers| numbers.is_sorted()), "{by_key:?}");
    let batches = index.batches.lock().unwrap().len();
    assert!(batches < 200, "{batches} batches for 400 events of 50 keys");
}

pub(crate) async fn a_failing_event_becomes_a_dead_letter_and_its_neighbours_are_settled(fixture: &Fixture) {
    let index = Arc::new(Index::default());
    poisoned(fixture, &index).await;
    let poison = index.calls().into_iter().filter(|event| number(event) < 0).count();
    assert_eq!(poison, 3, "one call for each attempt");
}

pub(crate) async fn after_a_batch_fails_its_other_events_are_settled(fixture: &Fixture) {
    let index = Arc::new(Index { panics: true, ..Index::default() });
    poisoned(fixture, &index).await;
    let batches = index.batches.lock().unwrap().clone();
    let of_poison = |batch: &&Vec<Event>| batch.iter().any(|event| number(event) < 0);
    assert!(batches.iter().filter(of_poison).skip(1).all(|batch| batch.len() == 1));
}

/// Publishes 30 trades, of which one cannot be handled, each with a key of its own.
async fn poisoned(fixture: &Fixture, index: &Arc<Index>) {
    let trades: Vec<_> = (0..30).map(|n| trade(&format!("S{n}"), if n == 7 { -1 } else { n })).collect();
    run_alongside(fixture.batch_consumer(Arc::clone(index) as Arc<_>), async {
        fixture.publish(&trades).await;
        fixture.until_handled(&trades).await;
        fixture.until_settled().await;
    })
    .await;
    assert_eq!(index.effects(), (0..30).filter(|n| *n != 7).collect::<Vec<_>>());
    let dead_letters = fixture.dead_letters.list(None, 10).await.unwrap();
    let [dead_letter] = dead_letters.as_slice() else { panic!("one dead letter, not {dead_letters:?}") };
    assert_eq!((&dead_letter.event.id, dead_letter.attempts), (&trades[7].id, 3));
    assert!(dead_letter.reason.contains("negative"), "{}", dead_letter.reason);
}

/// An inbox that never returns from storing receipts, as a process that is killed then.
struct HangingInbox {
    inner: Arc<dyn Inbox>,
    /// Whether the receipts are stored first.
    stores: bool,
    has_hung: AtomicBool,
}

#[async_trait]
impl Inbox for HangingInbox {
    async fn list_seen(&self, group: &str, events: &[Uuid]) -> Result<HashSet<Uuid>, RepoError> {
        self.inner.list_seen(group, events).await
    }

    async fn record(&self, receipt: &Receipt) -> Result<bool, RepoError> {
        self.inner.record(receipt).await
    }

    async fn record_all(&self, receipts: &[Receipt]) -> Result<HashSet<Uuid>, RepoError> {
        if self.stores {
            self.inner.record_all(receipts).await?;
        }
        self.has_hung.store(true, Ordering::SeqCst);
        std::future::pending().await
    }

    async fn count_attempts(
        &self,
        group: &str,
        events: &[Uuid],
        now: Timestamp,
    ) -> Result<HashMap<Uuid, u32>, RepoError> {
        self.inner.count_attempts(group, events, now).await
    }

    async fn list_attempts(&self, group: &str, events: &[Uuid]) -> Result<HashMap<Uuid, u32>, RepoError> {
        self.inner.list_attempts(group, events).await
    }

    async fn forget(&self, group: &str, event: Uuid) -> Result<(), RepoError> {
        self.inner.forget(group, event).await
    }
}

/// Ends a consumer between its handler and the end of its receipt write, and runs another one. Returns the calls of the
/// first handler and of the second.
async fn cut_off(fixture: &Fixture, stores: bool) -> (Vec<Event>, Vec<Event>) {
    let (first, second) = (Arc::new(Index::default()), Arc::new(Index::default()));
    let inner = Arc::clone(&fixture.database.inbox);
    let inbox = Arc::new(HangingInbox { inner, stores, has_hung: AtomicBool::new(false) });
    let trades: Vec<_> = (0..20).map(|n| trade(&format!("S{n}"), n)).collect();
    let mut consumer = fixture.batch_consumer_with(Arc::clone(&first) as Arc<_>, Arc::clone(&inbox) as Arc<_>);
    consumer.init().await.unwrap();
    let ended = async {
        let stop = Stop::new();
        let abort = async {
            eventually("the receipts are being written", async || inbox.has_hung.load(Ordering::SeqCst)).await;
            stop.abort();
        };
        let ((), ended) = tokio::join!(abort, Box::new(consumer).run(stop.clone()));
        ended.unwrap();
        run_alongside(fixture.batch_consumer(Arc::clone(&second) as Arc<_>), async {
            fixture.until_handled(&trades).await;
            fixture.until_settled().await;
        })
        .await;
    };
    // In-process, publishing lasts until the second consumer has settled the events.
    tokio::join!(ended, fixture.publish(&trades));
    let mut effects = first.effects.lock().unwrap().clone();
    effects.extend(second.effects.lock().unwrap().iter());
    assert_eq!(effects.len(), trades.len(), "each trade has its effect under its own id");
    (first.calls(), second.calls())
}

pub(crate) async fn a_batch_that_ends_before_its_receipts_has_one_effect(fixture: &Fixture) {
    let (first, second) = cut_off(fixture, false).await;
    assert!(!first.is_empty());
    assert_eq!(second.len(), 20, "all are delivered again");
}

pub(crate) async fn a_batch_that_ends_after_its_receipts_is_not_handled_again(fixture: &Fixture) {
    let (first, second) = cut_off(fixture, true).await;
    let ids = |events: &[Event]| events.iter().map(|event| event.id).collect::<HashSet<_>>();
    assert!(ids(&first).is_disjoint(&ids(&second)));
    assert_eq!(first.len() + second.len(), 20);
}
