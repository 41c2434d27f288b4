//! gif-files is killed while it works, and members join and leave its group.
#![allow(dead_code, clippy::allow_attributes, reason = "whether it is used depends on the features")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gifs_contracts::{GIF_EVENTS, GifSettled, MEDIA_EVENTS, MediaStored};
use kennel_broker::{Broker, BrokerConfig};
use kennel_config::{Environment, Reader, Settings, load};
use kennel_core::{EventFilter, Group, Subscription, SystemClock};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::backends::Variables;
use crate::provider::Provider;
use crate::system::{API, STORAGE, System, search, stop};

/// GIFs that are found before each kill.
const BATCH: usize = 8;
/// The time in which everything is done after the last kill.
const LIMIT: Duration = Duration::from_mins(2);
/// Nothing is published again if this passes without an event.
const QUIET: Duration = Duration::from_secs(2);

/// How many kills, and how often a second member joins or leaves: `GIF_KILLS` and `GIF_REBALANCES`.
fn counts() -> (u32, u32) {
    let count =
        |name, default| std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}")));
    (count("GIF_KILLS", 6), count("GIF_REBALANCES", 3))
}

/// After kills and rebalances under load, each GIF has one object, one row, one answer and one final state.
pub(crate) async fn check(variables: &Variables) {
    let (kills, rebalances) = counts();
    let provider = Provider::start(BATCH).await;
    let system = System::new([variables.as_slice(), &provider.variables()].concat());
    let mut effects = Effects::subscribe(variables).await;
    let mut catalogue = system.serve(&format!("{API},{STORAGE}")).await;
    let http = catalogue.listener(API).await;
    let (started, mut found) = (Instant::now(), BTreeSet::new());
    let (mut victim, mut second, mut changes) = (system.serve_member().await, None, 0);
    for round in 0..kills.max(rebalances) {
        found.extend(search(http, &format!("round{round}"), &[]).await);
        // The rebalances are spread over the kills.
        if (round + 1) * rebalances / kills.max(rebalances) > changes {
            changes += 1;
            second = match second {
                None => Some(system.serve_member().await),
                Some(member) => {
                    stop(member).await;
                    None
                }
            };
        }
        if round < kills {
            // Spread over the time that a batch takes, without a clock or a random number.
            sleep(Duration::from_millis(u64::from(round) * 37 % 230)).await;
            victim.kill();
            victim.wait(LIMIT).await;
            victim = system.serve_member().await;
        }
    }
    let killed = started.elapsed();
    let doubled = effects.until_all(&found).await;
    println!(
        "{kills} kills, {changes} rebalances, {} gifs: {} answered, {} settled, 0 lost, {doubled} doubled; \
         {:.0} s, and {:.0} s until the last one",
        found.len(),
        effects.answered.len(),
        effects.settled.len(),
        killed.as_secs_f64(),
        started.elapsed().saturating_sub(killed).as_secs_f64()
    );
    assert_eq!(doubled, 0, "{effects:?}");
    for member in [Some(victim), second].into_iter().flatten() {
        stop(member).await;
    }
    let (code, output) = system.run(&["gif-files", "reconcile", "--grace", "0s"]).await;
    let (blobs, objects) = (found.len(), found.len() * 2);
    let expected =
        format!("{blobs} blobs and {objects} objects and {blobs} gifs of the catalogue compared, 0 differences");
    assert!(code == Some(0) && output.contains(&expected), "{expected}: {output}");
    stop(catalogue).await;
}

struct BrokerSettings(BrokerConfig);

impl Settings for BrokerSettings {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self(BrokerConfig::read(reader, &[]))
    }
}

/// What the services have published about each GIF: the ids of the events. An event that is published again, as by a relay
/// that was killed, has the same id.
struct Effects {
    answered: BTreeMap<String, BTreeSet<Uuid>>,
    settled: BTreeMap<String, BTreeSet<Uuid>>,
    media: Box<dyn Subscription>,
    gifs: Box<dyn Subscription>,
    _broker: Arc<dyn Broker>,
}

impl std::fmt::Debug for Effects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let doubled = |events: &BTreeMap<String, BTreeSet<Uuid>>| {
            events.iter().filter(|(_, events)| events.len() > 1).map(|(gif, _)| gif.clone()).collect::<Vec<_>>()
        };
        write!(f, "answered twice: {:?}, settled twice: {:?}", doubled(&self.answered), doubled(&self.settled))
    }
}

impl Effects {
    async fn subscribe(variables: &Variables) -> Self {
        let is_broker = |name: &str| ["BROKER", "NATS_", "KAFKA_"].iter().any(|prefix| name.starts_with(prefix));
        let broker = variables.iter().filter(|(name, _)| is_broker(name)).map(|(name, value)| (*name, value.as_str()));
        let config = load::<BrokerSettings>(&Environment::from_pairs(broker)).unwrap().settings.0;
        let connected = kennel_broker::connect_server(&config, Arc::new(SystemClock)).await.unwrap().unwrap();
        let (broker, group) = (connected.broker, Group::Shared("test".to_owned()));
        let media = broker.subscribe(MEDIA_EVENTS, &group, &EventFilter::All).await.unwrap();
        let gifs = broker.subscribe(GIF_EVENTS, &group, &EventFilter::All).await.unwrap();
        Self { answered: BTreeMap::new(), settled: BTreeMap::new(), media, gifs, _broker: broker }
    }

    /// Waits until all GIFs are answered and settled, and nothing more is published. Returns the number of GIFs that were
    /// answered or settled more than once.
    async fn until_all(&mut self, gifs: &BTreeSet<String>) -> usize {
        let deadline = Instant::now() + LIMIT;
        while self.answered.len() < gifs.len() || self.settled.len() < gifs.len() {
            assert!(
                Instant::now() < deadline,
                "of {} gifs, {} are answered and {} settled",
                gifs.len(),
                self.answered.len(),
                self.settled.len()
            );
            self.receive(QUIET).await;
        }
        while self.receive(QUIET).await {}
        assert_eq!(self.answered.keys().cloned().collect::<BTreeSet<_>>(), *gifs);
        assert_eq!(self.settled.keys().cloned().collect::<BTreeSet<_>>(), *gifs);
        [&self.answered, &self.settled].into_iter().flat_map(BTreeMap::values).filter(|ids| ids.len() > 1).count()
    }

    /// Receives the next event; false if there is none for this time.
    async fn receive(&mut self, limit: Duration) -> bool {
        let next = async {
            tokio::select! {
                next = self.media.next() => next,
                next = self.gifs.next() => next,
            }
        };
        let Ok(Some(delivery)) = timeout(limit, next).await else { return false };
        let delivery = delivery.unwrap();
        let event = &delivery.event;
        if let Some(stored) = event.decode::<MediaStored>().unwrap() {
            self.answered.entry(stored.id.to_string()).or_default().insert(event.id);
        } else if let Some(settled) = event.decode::<GifSettled>().unwrap() {
            self.settled.entry(settled.id.to_string()).or_default().insert(event.id);
        } else {
            assert!(event.topic == GIF_EVENTS, "{event:?}");
        }
        delivery.ack().await.unwrap();
        true
    }
}
