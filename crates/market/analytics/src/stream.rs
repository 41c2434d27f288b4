//! The live stream of candles.

use futures_util::StreamExt as _;
use kennel_core::Event;
use kennel_http::HttpError;
use kennel_http::sse::{self, EventStreams, Message};
use kennel_outbox::{EventFeed, FeedItem, FeedUpdate};
use market_contracts::CandleChanged;
use uuid::Uuid;

use crate::api::CandleResponse;

/// Maximum number of open streams; further requests are rejected with 503.
const MAX_STREAMS: usize = 256;

/// Streams the topic of candles.
#[derive(Clone)]
pub(crate) struct CandleStream {
    feed: EventFeed,
    streams: EventStreams,
}

/// Which candles a client wants; `None` for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) venue: Option<String>,
    pub(crate) symbol: Option<String>,
    pub(crate) timeframe: Option<String>,
}

impl Wanted {
    fn includes(&self, CandleChanged(candle): &CandleChanged) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        is(&self.venue, &candle.venue) && is(&self.symbol, &candle.symbol) && is(&self.timeframe, &candle.timeframe)
    }
}

impl CandleStream {
    pub(crate) fn new(feed: EventFeed) -> Self {
        Self { feed, streams: EventStreams::new(MAX_STREAMS) }
    }

    /// Streams the candles that are wanted after the event `last`.
    pub(crate) fn open(&self, last: Option<Uuid>, wanted: Wanted) -> Result<axum::response::Response, HttpError> {
        let stream = self.streams.try_open()?;
        let messages = self.feed.watch(last).filter_map(move |update| {
            let message = message(update, &wanted);
            async move { message }
        });
        Ok(stream.respond(messages))
    }
}

fn message(update: FeedUpdate, wanted: &Wanted) -> Option<Message> {
    match update.item {
        None => Some(sse::position(update.position)),
        Some(FeedItem::Reset) => Some(sse::reset(update.position)),
        Some(FeedItem::Event(event)) => candle(&event, wanted, update.position),
    }
}

fn candle(event: &Event, wanted: &Wanted, position: Uuid) -> Option<Message> {
    let decoded = event.decode::<CandleChanged>().map_err(axum::Error::new);
    let message = decoded.and_then(|candle| {
        let candle = candle.filter(|candle| wanted.includes(candle));
        let message = Message::default().id(position.to_string()).event("candle");
        candle.map(|candle| message.json_data(CandleResponse::from(candle.0))).transpose()
    });
    message.unwrap_or_else(|error| {
        tracing::error!(event.id = %event.id, error = &error as &dyn std::error::Error, "cannot show event");
        None
    })
}
