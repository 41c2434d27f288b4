//! The live stream of candles, as server-sent events and as gRPC messages.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use kennel_core::{Clock, ErrorKind, Event};
use kennel_grpc::{Details, invalid, status};
use kennel_http::HttpError;
use kennel_http::sse::{self, EventStreams, Message};
use kennel_outbox::{EventFeed, FeedItem, FeedUpdate};
use kennel_proto::market::v1::StreamCandlesResponse;
use kennel_service::watch::Messages;
use kennel_telemetry::metrics::LatencyHistogram;
use market_contracts::CandleChanged;
use prometheus::Registry;
use tonic::Status;
use uuid::Uuid;

use crate::api::CandleResponse;

/// Maximum number of open streams; further requests are rejected with 503.
const MAX_STREAMS: usize = 256;

/// Streams the topic of candles.
#[derive(Clone)]
pub(crate) struct CandleStream {
    feed: EventFeed,
    replica: ReplicaKey,
    streams: EventStreams,
    delay: StreamDelay,
}

/// Turns the ids of events into the positions that clients of this replica see, and back. Each replica has its own order of the
/// changes of different instruments, so that a position means nothing at another one: there it is the id of no event, and the client
/// gets a reset.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplicaKey(u128);

impl ReplicaKey {
    /// The random bits of an id, in which ids of different replicas differ.
    const RANDOM: u128 = (1 << 62) - 1;

    pub(crate) const fn of(replica: Uuid) -> Self {
        Self(replica.as_u128() & Self::RANDOM)
    }

    const fn apply(self, id: Uuid) -> Uuid {
        Uuid::from_u128(id.as_u128() ^ self.0)
    }
}

/// How long it takes from the receipt of the latest trade of a candle until the candle is sent.
#[derive(Clone)]
pub(crate) struct StreamDelay {
    histogram: LatencyHistogram,
    clock: Arc<dyn Clock>,
}

impl StreamDelay {
    pub(crate) fn register(registry: &Registry, clock: Arc<dyn Clock>) -> Result<Self, prometheus::Error> {
        let help = "Time from the receipt of the latest trade of a candle until the candle is sent to a client";
        let histogram = LatencyHistogram::register(registry, "market_candle_stream_seconds", help, &["venue"])?;
        Ok(Self { histogram, clock })
    }

    fn sent(&self, CandleChanged(candle): &CandleChanged) {
        let delay = self.clock.now().as_millis().saturating_sub(candle.updated_us.div_euclid(1_000));
        self.histogram.observe(&[&candle.venue], Duration::from_millis(u64::try_from(delay).unwrap_or_default()));
    }
}

/// Which candles a client wants; `None` for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    venue: Option<String>,
    symbol: Option<String>,
    timeframe: Option<String>,
}

impl Wanted {
    /// The candles of this venue, symbol and timeframe. An empty text is none.
    pub(crate) fn of(filters: [Option<String>; 3]) -> Self {
        let [venue, symbol, timeframe] = filters.map(|filter| filter.filter(|text| !text.is_empty()));
        Self { venue, symbol, timeframe }
    }

    fn includes(&self, CandleChanged(candle): &CandleChanged) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        is(&self.venue, &candle.venue) && is(&self.symbol, &candle.symbol) && is(&self.timeframe, &candle.timeframe)
    }

    /// The candle of an event, if it is wanted. One that cannot be read is left out, and logged.
    fn candle(&self, event: &Event) -> Option<CandleChanged> {
        let decoded = event.decode::<CandleChanged>().unwrap_or_else(|error| {
            tracing::error!(event.id = %event.id, error = &error as &dyn std::error::Error, "cannot read candle");
            None
        });
        decoded.filter(|candle| self.includes(candle))
    }
}

impl CandleStream {
    pub(crate) fn new(feed: EventFeed, replica: ReplicaKey, delay: StreamDelay) -> Self {
        Self { feed, replica, streams: EventStreams::new(MAX_STREAMS), delay }
    }

    /// The updates of the feed after a position, with positions of this replica.
    fn watch(&self, last: Option<Uuid>) -> impl Stream<Item = FeedUpdate> + Send + use<> {
        let replica = self.replica;
        let updates = self.feed.watch(last.map(|position| replica.apply(position)));
        updates.map(move |update| FeedUpdate { position: replica.apply(update.position), ..update })
    }

    /// Streams the candles that are wanted after the position `last`.
    pub(crate) fn open(&self, last: Option<Uuid>, wanted: Wanted) -> Result<axum::response::Response, HttpError> {
        let stream = self.streams.try_open()?;
        let (mut skipped, delay) = (Skipped(0), self.delay.clone());
        let messages = self.watch(last).filter_map(move |update| {
            let position = update.position;
            let message = skipped.or_position(event(update, &wanted, &delay), || sse::position(position));
            async move { message }
        });
        Ok(stream.respond(messages))
    }

    /// The same as messages, after the position `resume_token`, or from now on if it is empty.
    pub(crate) fn messages(
        &self,
        resume_token: &str,
        wanted: Wanted,
    ) -> Result<Messages<StreamCandlesResponse>, Status> {
        let last = match resume_token {
            "" => None,
            token => Some(token.parse().map_err(|_| invalid("resume_token", &"must be a token of this stream"))?),
        };
        let (mut skipped, delay) = (Skipped(0), self.delay.clone());
        let messages = self.watch(last).filter_map(move |update| {
            let position = position(update.position);
            let message = skipped.or_position(message(update, &wanted, &delay), || position).map(Ok);
            async move { message }
        });
        // The feed ends when the process stops: the client can resume.
        let end = stream::once(async { Err(status(ErrorKind::Unavailable, "", Details::default())) });
        Ok(Box::pin(messages.chain(end)))
    }
}

/// Counts the candles that a client does not want. After many of them it gets its position, so that it can resume there: a client
/// of a quiet instrument would otherwise have only an old position.
struct Skipped(u32);

impl Skipped {
    const MAX: u32 = 256;

    fn or_position<M>(&mut self, message: Option<M>, position: impl FnOnce() -> M) -> Option<M> {
        self.0 = if message.is_some() { 0 } else { self.0 + 1 };
        if self.0 < Self::MAX {
            return message;
        }
        self.0 = 0;
        Some(position())
    }
}

fn event(FeedUpdate { position, item }: FeedUpdate, wanted: &Wanted, delay: &StreamDelay) -> Option<Message> {
    match item {
        None => Some(sse::position(position)),
        Some(FeedItem::Reset) => Some(sse::reset(position)),
        Some(FeedItem::Event(event)) => {
            let candle = wanted.candle(&event)?;
            delay.sent(&candle);
            let candle = CandleResponse::from(candle.0);
            let message = Message::default().id(position.to_string()).event("candle").json_data(candle);
            message.map_err(|error| tracing::error!(%error, "cannot show candle")).ok()
        }
    }
}

fn position(position: Uuid) -> StreamCandlesResponse {
    StreamCandlesResponse { resume_token: position.to_string(), ..Default::default() }
}

fn message(update: FeedUpdate, wanted: &Wanted, delay: &StreamDelay) -> Option<StreamCandlesResponse> {
    let position = position(update.position);
    match update.item {
        None => Some(position),
        Some(FeedItem::Reset) => Some(StreamCandlesResponse { reset: true, ..position }),
        Some(FeedItem::Event(event)) => {
            let candle = wanted.candle(&event)?;
            delay.sent(&candle);
            Some(StreamCandlesResponse { candle: Some(candle.0), ..position })
        }
    }
}

#[cfg(test)]
mod tests {
    use kennel_core::{IdSource as _, UuidV7};

    use super::*;

    #[test]
    fn a_position_means_nothing_at_another_replica() {
        let [here, there] = [1, 2].map(|number| ReplicaKey::of(Uuid::from_u128(number)));
        for event in [UuidV7.next(), Uuid::nil()] {
            let position = here.apply(event);
            assert_eq!(here.apply(position), event);
            assert_ne!(there.apply(position), event);
            assert_eq!(
                (position.get_version_num(), position.get_variant()),
                (event.get_version_num(), event.get_variant())
            );
        }
    }

    #[test]
    fn after_many_unwanted_candles_there_is_a_position() {
        let mut skipped = Skipped(0);
        let mut shown = |message| skipped.or_position(message, || "position");
        assert_eq!(shown(Some("candle")), Some("candle"));
        for _ in 0..3 {
            assert!((1..Skipped::MAX).all(|_| shown(None).is_none()));
            assert_eq!(shown(None), Some("position"));
        }
        assert!((1..Skipped::MAX).all(|_| shown(None).is_none()));
        assert_eq!(shown(Some("candle")), Some("candle"));
        assert_eq!(shown(None), None);
    }
}
