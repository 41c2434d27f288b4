use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::Ordering;

use futures_util::{FutureExt as _, StreamExt as _};
use kennel_core::broker::BrokerError;
use prometheus::Registry;

use super::*;
use crate::fakes::{Broker, MemoryOutbox, event, eventually, run_alongside};

struct Setup {
    broker: Broker,
    outbox: Arc<MemoryOutbox>,
    feed: EventFeed,
}

fn setup(buffer: usize) -> Setup {
    let (broker, outbox) = (Broker::default(), Arc::new(MemoryOutbox::default()));
    let config = FeedConfig { buffer, page: 3, ..FeedConfig::default() };
    let metrics = ConsumerMetrics::register(&Registry::new()).unwrap();
    let store = Arc::clone(&outbox) as Arc<dyn Outbox>;
    let feed = EventFeed::new("dogs", Arc::new(broker.clone()), store, config, metrics);
    Setup { broker, outbox, feed }
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// An event's number, or 0 for a reset.
fn number(item: &FeedItem) -> u128 {
    match item {
        FeedItem::Event(event) => event.id.as_u128(),
        FeedItem::Reset => 0,
    }
}

async fn take(stream: &mut (impl Stream<Item = FeedItem> + Unpin), count: usize) -> Vec<u128> {
    stream.take(count).map(|item| number(&item)).collect().await
}

impl Setup {
    /// Publishes an event as the relay does: first the broker has it, then the history.
    async fn publish(&self, number: u128) {
        self.go_live(number).await;
        self.outbox.past(event(number, "rex"));
    }

    async fn go_live(&self, number: u128) {
        self.broker.send(event(number, "rex"));
        eventually("fanned out", || self.broker.acks().contains(&number)).await;
    }

    async fn joined(&self, times: u32) {
        eventually("joined", || self.broker.subscriptions() == times).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_listener_gets_every_event() {
    let setup = setup(16);
    run_alongside(setup.feed.clone(), async {
        setup.joined(1).await;
        let (mut one, mut two) = (pin!(setup.feed.open(None)), pin!(setup.feed.open(None)));
        setup.publish(1).await;
        let mut late = pin!(setup.feed.open(None));
        setup.publish(2).await;
        assert_eq!(take(&mut one, 2).await, [1, 2]);
        assert_eq!(take(&mut two, 2).await, [1, 2]);
        assert_eq!(take(&mut late, 1).await, [2]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn watch_always_reports_the_position() {
    let setup = setup(16);
    setup.outbox.past(event(1, "rex"));
    run_alongside(setup.feed.clone(), async {
        setup.joined(1).await;
        let mut watched = pin!(setup.feed.watch(None));
        let mut next = async || watched.next().await.map(|watched| (watched.position, watched.item.is_some()));
        // At the start, the last event before the subscription; then when idle; then with each event.
        assert_eq!(next().await, Some((id(1), false)));
        assert_eq!(next().await, Some((id(1), false)));
        setup.publish(2).await;
        assert_eq!(next().await, Some((id(2), true)));
        assert_eq!(next().await, Some((id(2), false)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reconnecting_listener_gets_missed_events_and_then_live_ones() {
    let setup = setup(16);
    for number in 1..=10 {
        setup.outbox.past(event(number, "rex"));
    }
    run_alongside(setup.feed.clone(), async {
        setup.joined(1).await;
        let mut stream = pin!(setup.feed.open(Some(id(2))));
        assert_eq!(take(&mut stream, 4).await, [3, 4, 5, 6]);
        setup.publish(11).await;
        assert_eq!(take(&mut stream, 5).await, [7, 8, 9, 10, 11]);
        setup.publish(12).await;
        assert_eq!(take(&mut stream, 1).await, [12]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_live_before_it_is_in_the_history_is_not_missed() {
    let setup = setup(16);
    setup.outbox.past(event(1, "rex"));
    run_alongside(setup.feed.clone(), async {
        setup.joined(1).await;
        setup.publish(2).await;
        setup.go_live(3).await;
        let mut stream = pin!(setup.feed.open(Some(id(1))));
        assert_eq!(take(&mut stream, 2).await, [2, 3]);
        setup.outbox.past(event(3, "rex"));
        setup.publish(4).await;
        assert_eq!(take(&mut stream, 1).await, [4]);
        let mut again = pin!(setup.feed.open(Some(id(3))));
        assert_eq!(take(&mut again, 1).await, [4]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn other_topics_are_skipped() {
    let setup = setup(16);
    setup.outbox.past(event(1, "rex"));
    for number in 2..=9 {
        setup.outbox.past(Event { topic: "cats".to_owned(), ..event(number, "tom") });
    }
    setup.outbox.past(event(10, "rex"));
    run_alongside(setup.feed.clone(), async {
        setup.joined(1).await;
        let mut stream = pin!(setup.feed.open(Some(id(1))));
        assert_eq!(take(&mut stream, 1).await, [10]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn unrecoverable_events_are_one_reset() {
    let setup = setup(16);
    run_alongside(setup.feed.clone(), async {
        setup.joined(1).await;
        setup.publish(1).await;
        let mut stream = pin!(setup.feed.open(Some(id(99))));
        setup.publish(2).await;
        assert_eq!(take(&mut stream, 2).await, [0, 2]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_listener_catches_up_from_the_history() {
    let setup = setup(4);
    run_alongside(setup.feed.clone(), async {
        setup.joined(1).await;
        setup.publish(1).await;
        let mut slow = pin!(setup.feed.open(Some(id(1))));
        setup.publish(2).await;
        assert_eq!(take(&mut slow, 1).await, [2]);
        for number in 3..=40 {
            setup.publish(number).await;
        }
        assert_eq!(take(&mut slow, 38).await, (3..=40).collect::<Vec<_>>());
        assert_eq!(slow.next().now_or_never(), None, "nothing comes twice");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_gap_in_the_subscription_is_filled_from_the_history() {
    let setup = setup(16);
    run_alongside(setup.feed.clone(), async {
        setup.joined(1).await;
        let mut stream = pin!(setup.feed.open(None));
        setup.publish(1).await;
        assert_eq!(take(&mut stream, 1).await, [1]);
        setup.broker.refuse(5);
        setup.broker.interrupt(Some(BrokerError::Unavailable("cable cut".into())));
        eventually("disconnected", || setup.broker.refusals_left() < 5).await;
        setup.outbox.past(event(2, "rex"));
        setup.joined(2).await;
        setup.publish(3).await;
        assert_eq!(take(&mut stream, 2).await, [2, 3]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_was_given_nothing_yet_misses_nothing_in_a_break() {
    let setup = setup(16);
    setup.outbox.past(event(1, "rex"));
    run_alongside(setup.feed.clone(), async {
        setup.joined(1).await;
        // Twice: before the first event that is live, and after a break, when none is live either.
        for break_number in 1..=2 {
            let mut stream = pin!(setup.feed.open(None));
            setup.broker.interrupt(None);
            let missed = u128::from(break_number) + 1;
            setup.outbox.past(event(missed, "rex"));
            setup.joined(break_number + 1).await;
            assert_eq!(take(&mut stream, 1).await, [missed]);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_starts_while_a_gap_is_recovered_misses_nothing_in_the_next_one() {
    // Before the first event ever, and with an event in the history since then.
    for past in [0, 1] {
        let setup = setup(16);
        // The first subscription is a gap too, which this event leaves open.
        setup.outbox.commit([event(2, "rex")]);
        run_alongside(setup.feed.clone(), async {
            setup.joined(1).await;
            (1..=past).for_each(|number| setup.outbox.past(event(number, "rex")));
            let mut opened = pin!(setup.feed.open(None));
            assert_eq!(opened.next().now_or_never(), None);
            let mut watched = pin!(setup.feed.watch(None));
            assert_eq!(watched.next().await.map(|start| start.position), Some(id(past)));
            setup.mark(2).await;
            setup.broker.interrupt(None);
            setup.outbox.past(event(3, "rex"));
            setup.joined(2).await;
            assert_eq!(take(&mut opened, 2).await, [2, 3]);
            let mut items = pin!(watched.filter_map(async |update| update.item));
            assert_eq!(take(&mut items, 2).await, [2, 3]);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_before_the_first_live_one_in_the_history_is_not_missed() {
    let setup = setup(16);
    setup.outbox.commit([event(2, "rex")]);
    run_alongside(setup.feed.clone(), async {
        setup.joined(1).await;
        setup.outbox.past(event(1, "rex"));
        let mut opened = pin!(setup.feed.open(None));
        assert_eq!(opened.next().now_or_never(), None);
        setup.mark(2).await;
        // Event 3, of another key, is published before it, but the connection breaks before it arrives.
        setup.go_live(4).await;
        assert_eq!(take(&mut opened, 1).await, [4]);
        setup.broker.interrupt(None);
        setup.outbox.past(event(3, "bella"));
        setup.outbox.past(event(4, "rex"));
        setup.joined(2).await;
        assert_eq!(take(&mut opened, 2).await, [2, 3]);
    })
    .await;
}

/// A slow history delays nothing that is live, nor the end.
#[tokio::test(start_paused = true)]
async fn what_is_live_does_not_wait_for_the_start() {
    let setup = setup(16);
    setup.outbox.down.store(true, Ordering::SeqCst);
    let mut opened = pin!(setup.feed.open(None));
    run_alongside(setup.feed.clone(), async {
        setup.joined(1).await;
        let mut late = pin!(setup.feed.open(None));
        setup.go_live(1).await;
        assert_eq!(take(&mut late, 1).await, [1]);
        assert_eq!(take(&mut opened, 2).await, [0, 1], "opened before the first subscription");
    })
    .await;
}

impl Setup {
    /// Loses the subscription until the second one exists. In between, event 2 is published but not marked as published
    /// yet; the listener has received event 1 before.
    async fn gap_with_an_unmarked_event(&self, stream: &mut (impl Stream<Item = FeedItem> + Unpin)) {
        self.publish(1).await;
        assert_eq!(take(stream, 1).await, [1]);
        self.outbox.commit([event(2, "rex")]);
        self.broker.interrupt(Some(BrokerError::Unavailable("cable cut".into())));
        self.joined(2).await;
        self.go_live(3).await;
    }

    async fn mark(&self, number: u128) {
        self.outbox.mark_published(&[id(number)], event(number, "rex").time).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_published_in_a_gap_and_marked_after_it_is_delivered_in_order() {
    let setup = setup(16);
    run_alongside(setup.feed.clone(), async {
        setup.joined(1).await;
        let mut stream = pin!(setup.feed.open(None));
        setup.gap_with_an_unmarked_event(&mut stream).await;
        assert_eq!(stream.next().now_or_never(), None, "an unknown event may precede 3");
        let mut again = pin!(setup.feed.open(Some(id(1))));
        assert_eq!(again.next().now_or_never(), None, "the same goes for who comes back");
        setup.mark(2).await;
        setup.outbox.past(event(3, "rex"));
        assert_eq!(take(&mut stream, 2).await, [2, 3]);
        assert_eq!(take(&mut again, 2).await, [2, 3]);
        setup.publish(4).await;
        assert_eq!(take(&mut stream, 1).await, [4]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_late_mark_delays_nothing_and_its_event_is_delivered_later() {
    let setup = setup(16);
    run_alongside(setup.feed.clone(), async {
        setup.joined(1).await;
        let mut stream = pin!(setup.feed.open(None));
        setup.gap_with_an_unmarked_event(&mut stream).await;
        assert_eq!(take(&mut stream, 1).await, [3]);
        setup.publish(4).await;
        assert_eq!(take(&mut stream, 1).await, [4]);
        setup.outbox.past(event(3, "rex"));
        setup.mark(2).await;
        assert_eq!(take(&mut stream, 1).await, [2]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_gap_before_the_first_event_loses_none_of_a_page() {
    let setup = setup(16);
    run_alongside(setup.feed.clone(), async {
        setup.joined(1).await;
        let mut stream = pin!(setup.feed.open(None));
        let mut late = pin!(setup.feed.open(None));
        setup.broker.interrupt(None);
        setup.outbox.past(event(1, "rex"));
        setup.outbox.past(event(2, "rex"));
        setup.joined(2).await;
        assert_eq!(take(&mut stream, 2).await, [1, 2]);
        setup.publish(3).await;
        assert_eq!(take(&mut stream, 1).await, [3]);
        // A page has three events.
        assert_eq!(take(&mut late, 1).await, [0]);
        setup.publish(4).await;
        assert_eq!(take(&mut late, 1).await, [4]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_gap_without_a_known_position_is_a_reset() {
    let setup = setup(16);
    setup.outbox.past(event(1, "rex"));
    // Before the feed runs, it does not know that there is an event.
    let mut stream = pin!(setup.feed.open(None));
    run_alongside(setup.feed.clone(), async {
        setup.joined(1).await;
        setup.publish(2).await;
        assert_eq!(take(&mut stream, 2).await, [0, 2]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_event_published_twice_is_delivered_once() {
    let setup = setup(16);
    run_alongside(setup.feed.clone(), async {
        setup.joined(1).await;
        let mut stream = pin!(setup.feed.open(None));
        for number in [1, 2, 1, 2, 3] {
            setup.broker.send(event(number, "rex"));
        }
        assert_eq!(take(&mut stream, 3).await, [1, 2, 3]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_ids_of_events_that_left_the_buffer_are_forgotten() {
    let setup = setup(4);
    run_alongside(setup.feed.clone(), async {
        setup.joined(1).await;
        for number in 1..=6 {
            setup.publish(number).await;
        }
        // It starts after these events, so its own memory does not have the first ones.
        let mut stream = pin!(setup.feed.open(None));
        setup.broker.send(event(6, "rex"));
        setup.broker.send(event(1, "rex"));
        assert_eq!(take(&mut stream, 1).await, [1]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn listeners_end_with_the_feed() {
    let setup = setup(16);
    setup.outbox.past(event(1, "rex"));
    let mut open = pin!(setup.feed.open(None));
    let mut late = pin!(setup.feed.open(Some(id(1))));
    run_alongside(setup.feed.clone(), setup.joined(1)).await;
    let left: BTreeSet<_> = open.by_ref().map(|item| number(&item)).collect().await;
    assert!(left.is_subset(&BTreeSet::from([0])), "{left:?}");
    assert_eq!(late.next().await, None);
    assert_eq!(pin!(setup.feed.open(Some(id(1)))).next().await, None);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_history_ends_the_stream() {
    let setup = setup(16);
    setup.outbox.past(event(1, "rex"));
    setup.outbox.past(event(2, "rex"));
    setup.outbox.down.store(true, Ordering::SeqCst);
    assert_eq!(pin!(setup.feed.open(Some(id(1)))).next().await, None);
    setup.outbox.down.store(false, Ordering::SeqCst);
    assert_eq!(take(&mut pin!(setup.feed.open(Some(id(1)))), 1).await, [2]);
}

/// A feed without an outbox.
struct Bare {
    broker: Broker,
    feed: EventFeed,
}

fn bare(buffer: usize) -> Bare {
    let broker = Broker::default();
    let config = FeedConfig { buffer, ..FeedConfig::default() };
    let metrics = ConsumerMetrics::register(&Registry::new()).unwrap();
    let feed = EventFeed::without_outbox("dogs", Arc::new(broker.clone()), config, metrics);
    Bare { broker, feed }
}

impl Bare {
    async fn publish(&self, numbers: impl IntoIterator<Item = u128>) {
        for number in numbers {
            self.broker.send(event(number, "rex"));
            eventually("fanned out", || self.broker.acks().contains(&number)).await;
        }
    }

    async fn subscribed(&self, times: u32) {
        eventually("subscribed", || self.broker.subscriptions() == times).await;
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_outbox_a_client_resumes_from_memory() {
    let bare = bare(4);
    let mut early = pin!(bare.feed.open(None));
    run_alongside(bare.feed.clone(), async {
        bare.subscribed(1).await;
        let mut watch = pin!(bare.feed.watch(None));
        let start = watch.next().await.unwrap().position;
        bare.publish(1..=3).await;
        assert_eq!(take(&mut early, 3).await, [1, 2, 3], "no reset for what nobody has missed");
        assert_eq!(take(&mut pin!(bare.feed.open(Some(start))), 3).await, [1, 2, 3], "before the first event");
        assert_eq!(take(&mut pin!(bare.feed.open(Some(id(1)))), 2).await, [2, 3]);
        bare.publish(4..=6).await;
        assert_eq!(take(&mut pin!(bare.feed.open(Some(id(2)))), 4).await, [3, 4, 5, 6], "the last that was removed");
        let mut late = pin!(bare.feed.watch(Some(id(1))));
        assert_eq!(late.next().await.unwrap().item, None);
        let reset = late.next().await.unwrap();
        assert_eq!((reset.item, reset.position), (Some(FeedItem::Reset), id(6)));
        bare.publish([7]).await;
        assert_eq!(late.next().await.unwrap().position, id(7));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_an_outbox_a_gap_is_a_reset() {
    let bare = bare(8);
    run_alongside(bare.feed.clone(), async {
        bare.subscribed(1).await;
        let mut open = pin!(bare.feed.open(None));
        bare.publish([1]).await;
        assert_eq!(take(&mut open, 1).await, [1]);
        bare.broker.interrupt(Some(BrokerError::Unavailable("cable cut".into())));
        bare.subscribed(2).await;
        assert_eq!(take(&mut open, 1).await, [0]);
        bare.publish([2]).await;
        assert_eq!(take(&mut open, 1).await, [2]);
        assert_eq!(take(&mut pin!(bare.feed.open(Some(id(1)))), 1).await, [0], "from before the gap");
        bare.publish([3]).await;
        assert_eq!(take(&mut pin!(bare.feed.open(Some(id(2)))), 1).await, [3]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_an_outbox_a_slow_listener_gets_a_reset() {
    let bare = bare(4);
    run_alongside(bare.feed.clone(), async {
        bare.subscribed(1).await;
        let mut slow = pin!(bare.feed.open(None));
        bare.publish(1..=20).await;
        let found = take(&mut slow, 1).await;
        assert_eq!(found, [0]);
        bare.publish([21]).await;
        assert_eq!(take(&mut slow, 1).await, [21]);
    })
    .await;
}
