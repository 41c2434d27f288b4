//! Feeds of a topic without an outbox.

use std::pin::pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use kennel_broker::Broker;
use kennel_core::Event;
use kennel_outbox::{EventFeed, FeedConfig, FeedItem, FeedUpdate};
use uuid::Uuid;

use crate::fixture::{Fixture, TOPIC, eventually, number, run_alongside, trade};

fn feed(fixture: &Fixture) -> EventFeed {
    let subscriber = Arc::<dyn Broker>::clone(&fixture.broker);
    EventFeed::without_outbox(TOPIC, subscriber, FeedConfig::default(), fixture.metrics.clone())
}

/// Waits until the feed is subscribed: then it has a position.
async fn subscribed(feed: &EventFeed) -> Uuid {
    let mut position = Uuid::nil();
    eventually("subscribed", async || {
        let update = pin!(feed.watch(None)).next().await;
        position = update.map(|update| update.position).unwrap_or_default();
        !position.is_nil()
    })
    .await;
    position
}

async fn numbers(stream: impl Stream<Item = FeedItem>, count: usize) -> Vec<i64> {
    let number = |item| match item {
        FeedItem::Event(event) => number(&event),
        FeedItem::Reset => -1,
    };
    stream.take(count).map(number).collect().await
}

pub(crate) async fn a_feed_without_an_outbox_resumes_from_memory(fixture: &Fixture) {
    let feed = feed(fixture);
    let trades: Vec<Event> = (1..=5).map(|number| trade("BTC", number)).collect();
    run_alongside(feed.clone(), async {
        let start = subscribed(&feed).await;
        let live = feed.open(None);
        fixture.publish(&trades).await;
        assert_eq!(numbers(live, 5).await, [1, 2, 3, 4, 5]);
        assert_eq!(numbers(feed.open(Some(start)), 5).await, [1, 2, 3, 4, 5]);
        assert_eq!(numbers(feed.open(Some(trades[2].id)), 2).await, [4, 5]);
        let bytes = pin!(feed.open(Some(trades[3].id))).next().await.unwrap();
        let FeedItem::Event(event) = bytes else { panic!("{bytes:?}") };
        assert_eq!(*event, trades[4]);
    })
    .await;
}

pub(crate) async fn a_feed_without_an_outbox_resets_a_client_that_it_does_not_know(fixture: &Fixture) {
    let feed = feed(fixture);
    run_alongside(feed.clone(), async {
        subscribed(&feed).await;
        let live = feed.open(None);
        fixture.publish(&[trade("BTC", 1)]).await;
        assert_eq!(numbers(live, 1).await, [1]);
        assert_eq!(numbers(feed.open(Some(trade("BTC", 0).id)), 1).await, [-1]);
        let mut watch = pin!(feed.watch(Some(Uuid::from_u128(7))));
        assert_eq!(watch.next().await, Some(FeedUpdate { position: Uuid::from_u128(7), item: None }));
        let reset = watch.next().await.unwrap();
        assert_eq!(reset.item, Some(FeedItem::Reset));
        fixture.publish(&[trade("BTC", 2)]).await;
        assert_eq!(numbers(feed.open(Some(reset.position)), 1).await, [2]);
    })
    .await;
}
