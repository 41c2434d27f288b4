//! Events with a codec, derived ids and filters.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kennel_core::{Clock as _, Event, EventFilter, EventType as _, Receipt, SystemClock};
use kennel_outbox::{Handled, Handler, HandlerError};

use crate::fixture::{Fixture, GROUP, Traded, eventually, number, run_alongside, trade};

/// Records trades; fails permanently at negative ones until it accepts all.
#[derive(Default)]
struct Recorder {
    trades: Mutex<Vec<Traded>>,
    accepts_all: std::sync::atomic::AtomicBool,
}

impl Recorder {
    fn numbers(&self) -> Vec<i64> {
        self.trades.lock().unwrap().iter().map(|trade| trade.number).collect()
    }
}

#[async_trait]
impl Handler for Recorder {
    fn filter(&self) -> EventFilter {
        EventFilter::names([Traded::NAME])
    }

    async fn handle(&self, event: &Event, _: &Receipt) -> Result<Handled, HandlerError> {
        let decoded = event.decode::<Traded>().map_err(|error| HandlerError::Permanent(error.into()))?;
        let trade = decoded.expect("the filter excludes other events");
        if trade.number < 0 && !self.accepts_all.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(HandlerError::Permanent("negative".into()));
        }
        self.trades.lock().unwrap().push(trade);
        Ok(Handled::Done)
    }
}

pub(crate) async fn a_protobuf_event_passes_from_the_outbox_to_a_handler(fixture: &Fixture) {
    let handler = Arc::new(Recorder::default());
    let events = [trade("BTC", 1), trade("BTC", 2)];
    assert_eq!(events[0].content_type, "application/protobuf");
    run_alongside(fixture.consumer(Arc::clone(&handler) as Arc<_>), async {
        run_alongside(fixture.relay(), async {
            fixture.append(&events).await;
            fixture.until_handled(&events).await;
        })
        .await;
    })
    .await;
    assert_eq!(handler.numbers(), [1, 2]);
}

pub(crate) async fn a_protobuf_event_is_replayed_from_the_dead_letters(fixture: &Fixture) {
    let handler = Arc::new(Recorder::default());
    let broken = trade("BTC", -1);
    run_alongside(fixture.consumer(Arc::clone(&handler) as Arc<_>), async {
        run_alongside(fixture.relay(), async {
            fixture.append(std::slice::from_ref(&broken)).await;
            let find = || fixture.dead_letters.find(broken.id);
            eventually("a dead letter", async || !find().await.unwrap().is_empty()).await;
            fixture.until_handled(std::slice::from_ref(&broken)).await;
            let found = find().await.unwrap().remove(0).event;
            assert_eq!((found.content_type.as_str(), &found.data), ("application/protobuf", &broken.data));
            handler.accepts_all.store(true, std::sync::atomic::Ordering::SeqCst);
            let (dead_letters, inbox) = (&*fixture.dead_letters, &*fixture.database.inbox);
            assert!(kennel_outbox::replay(dead_letters, inbox, broken.id, SystemClock.now()).await.unwrap());
            fixture.until_handled(std::slice::from_ref(&broken)).await;
        })
        .await;
    })
    .await;
    assert_eq!(handler.numbers(), [-1]);
}

pub(crate) async fn two_events_with_one_derived_id_have_one_effect(fixture: &Fixture) {
    let handler = Arc::new(Recorder::default());
    // Two collectors see the same trade: one publishes it directly, the other through its outbox.
    let (seen_by_one, seen_by_other) = (trade("BTC", 1), trade("BTC", 1));
    assert_eq!(seen_by_one.id, seen_by_other.id);
    let last = [trade("BTC", 2)];
    run_alongside(fixture.consumer(Arc::clone(&handler) as Arc<_>), async {
        fixture.publish(&[seen_by_one]).await;
        run_alongside(fixture.relay(), async {
            fixture.append(&[seen_by_other]).await;
            fixture.append(&last).await;
            fixture.until_handled(&last).await;
        })
        .await;
        // A second time, long after the broker has forgotten the id.
        fixture.database.outbox.history(None, 9).await.unwrap();
        fixture.publish(&[trade("BTC", 1), trade("BTC", 3)]).await;
        fixture.until_handled(&[trade("BTC", 3)]).await;
    })
    .await;
    assert_eq!(handler.numbers(), [1, 2, 3]);
}

pub(crate) async fn events_that_the_handler_excludes_are_settled(fixture: &Fixture) {
    let handler = Arc::new(Recorder::default());
    let events: Vec<_> = (0..40)
        .map(|number| {
            let event = trade(&format!("S{}", number % 7), number);
            if number % 2 == 0 { event } else { Event { name: "tests.other".to_owned(), ..event } }
        })
        .collect();
    let wanted: Vec<_> = events.iter().filter(|event| event.name == Traded::NAME).cloned().collect();
    run_alongside(fixture.consumer(Arc::clone(&handler) as Arc<_>), async {
        fixture.publish(&events).await;
        fixture.until_handled(&wanted).await;
        fixture.until_settled().await;
    })
    .await;
    let mut found = handler.numbers();
    found.sort_unstable();
    assert_eq!(found, wanted.iter().map(number).collect::<Vec<_>>());
    let other = events[1].id;
    assert!(!fixture.database.inbox.seen(GROUP, other).await.unwrap());
}
