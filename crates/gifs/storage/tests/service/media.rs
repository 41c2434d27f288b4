//! The part of Media: publishes its events to the broker of the story.

use std::sync::Arc;

use gifs_contracts::{GifId, MediaRefused, MediaStored, Refusal};
use kennel_broker::BrokerConfig;
use kennel_config::{Environment, Reader, Settings, load};
use kennel_core::{Event, EventType, IdSource as _, SystemClock, Timestamp, UuidV7};

use crate::backends::Variables;

struct MediaSettings(BrokerConfig);

impl Settings for MediaSettings {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self(BrokerConfig::read(reader, &[]))
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000).unwrap()
}

fn event<E: EventType>(data: &E) -> Event {
    Event::new(UuidV7.next(), "/gifs/media", now(), data).unwrap()
}

/// The events that report that the bytes of one GIF are stored, and those of another are refused.
pub(crate) fn results(stored: GifId, refused: GifId) -> Vec<Event> {
    let stored = MediaStored {
        id: stored,
        sha256: "0f".repeat(32).parse().unwrap(),
        size: 1_234,
        width: 96,
        height: 96,
        frames: 12,
        duration_ms: 960,
        stored_at: now(),
    };
    let refused = MediaRefused { id: refused, refusal: Refusal::TooLarge, detail: None, refused_at: now() };
    vec![event(&stored), event(&refused)]
}

/// Publishes events to the broker that the variables select.
pub(crate) async fn publish(variables: &Variables, events: &[Event]) {
    let broker = variables
        .iter()
        .filter(|(name, _)| ["BROKER", "NATS_", "KAFKA_", "RABBIT"].iter().any(|prefix| name.starts_with(prefix)));
    let environment = Environment::from_pairs(broker.map(|(name, value)| (*name, value.as_str())));
    let config = load::<MediaSettings>(&environment).unwrap().settings.0;
    let connected = kennel_broker::connect_server(&config, Arc::new(SystemClock)).await.unwrap().unwrap();
    connected.broker.publish(events).await.unwrap();
    connected.broker.close().await;
}
