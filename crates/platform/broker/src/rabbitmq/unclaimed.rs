//! Events that no group has received: the queue of those that were published before the topic had a group, or while the
//! queues of its groups were not bound because somebody deleted them or their exchange.

use std::time::Duration;

use kennel_core::broker::BrokerError;
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicGetOptions, QueueDeleteOptions};
use tokio::time::Instant;

use super::marker::Marker;
use super::session::{Session, close_channel};
use super::topology::{self, Names};
use super::{send, unavailable};

/// How long events wait for a member to move earlier ones; after that, the topic is taken to have no group any more.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(30);

/// A server that cannot count the messages of a quorum queue within 250 ms responds that there are none.
const COUNT_TIMEOUT: Duration = Duration::from_millis(300);
/// Longer than a publisher pauses between two attempts.
const PAUSE: Duration = Duration::from_secs(10);

/// Returns the number of unclaimed events of a topic. While a member moves some, there is at least one: its marker.
pub(super) async fn count(channel: &Channel, names: &Names, topic: &str) -> Result<u32, BrokerError> {
    Ok(topology::inspect(channel, names.unclaimed(topic)).await?.message_count())
}

/// Moves the unclaimed events to the groups, unless another member does: two at once would change the order of a key.
pub(super) async fn claim(session: &Session, channel: &Channel, names: &Names, topic: &str) -> Result<(), BrokerError> {
    if count(channel, names, topic).await? == 0 {
        return Ok(());
    }
    let Some(locking) = session.lock(names.claim(topic)).await? else { return Ok(()) };
    move_all(channel, names, topic).await?;
    locking.queue_delete(names.claim(topic), QueueDeleteOptions::default()).await.map_err(unavailable)?;
    close_channel(&locking).await;
    Ok(())
}

/// Moves what is there now. Events that no group accepts return to the queue, behind the marker.
async fn move_all(channel: &Channel, names: &Names, topic: &str) -> Result<(), BrokerError> {
    let marker = Marker::publish(channel, names.unclaimed(topic)).await?;
    loop {
        let got = channel.basic_get(names.unclaimed(topic), BasicGetOptions::default()).await.map_err(unavailable)?;
        let Some(found) = got.map(|got| got.delivery) else { return Ok(()) };
        let is_marker = marker.is(&found.properties);
        if is_marker.is_none() {
            let (to, key, properties) = (names.groups(topic), found.routing_key.clone(), found.properties.clone());
            send(channel, to, key, &found.data, properties).await?;
        }
        found.acker.ack(BasicAckOptions::default()).await.map_err(unavailable)?;
        if is_marker == Some(true) {
            return Ok(());
        }
    }
}

/// What a publisher knows of a topic's groups.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Whether it has published an event.
    pub(super) has_published: bool,
    /// Whether the topic has or had a group.
    pub(super) has_group: bool,
    waiting: Option<Waiting>,
}

/// Events wait, because earlier ones are unclaimed although the topic has a group.
#[derive(Debug)]
struct Waiting {
    /// The last number of unclaimed events, and when it was known.
    unclaimed: u32,
    known_at: Instant,
    /// When it became smaller, or the wait began.
    progress_at: Instant,
    /// Since when it has been zero.
    empty_since: Option<Instant>,
}

impl Claims {
    /// Returns whether an event may be published: one that a group receives at once would get before the unclaimed ones.
    pub(super) fn may_publish(&mut self, unclaimed: u32, now: Instant) -> bool {
        let Some(waiting) = &mut self.waiting else {
            self.has_group |= unclaimed == 0 && self.has_published;
            let waits = unclaimed > 0 && self.has_group;
            let (known_at, progress_at) = (now, now);
            self.waiting = waits.then_some(Waiting { unclaimed, known_at, progress_at, empty_since: None });
            return !waits;
        };
        if unclaimed == 0 {
            let is_certain = now.duration_since(*waiting.empty_since.get_or_insert(now)) > COUNT_TIMEOUT;
            self.waiting.take_if(|_| is_certain);
            return is_certain;
        }
        // After a pause, members may have returned only now.
        if unclaimed < waiting.unclaimed || now.duration_since(waiting.known_at) > PAUSE {
            waiting.progress_at = now;
        }
        let gives_up = now.duration_since(waiting.progress_at) >= CLAIM_TIMEOUT;
        (waiting.unclaimed, waiting.known_at, waiting.empty_since) = (unclaimed, now, None);
        if gives_up {
            *self = Self::default();
        }
        gives_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_group() -> Claims {
        Claims { has_group: true, ..Claims::default() }
    }

    #[test]
    fn events_wait_while_a_group_has_not_received_earlier_ones() {
        let (mut claims, now) = (with_group(), Instant::now());
        assert!(claims.may_publish(0, now));
        assert!(!claims.may_publish(2, now));
        assert!(!claims.may_publish(0, now), "the server may not have counted");
        assert!(!claims.may_publish(2, now + COUNT_TIMEOUT));
        assert!(!claims.may_publish(0, now + COUNT_TIMEOUT * 2));
        assert!(claims.may_publish(0, now + COUNT_TIMEOUT * 4));
        assert!(claims.may_publish(0, now + COUNT_TIMEOUT * 4));
    }

    #[test]
    fn events_do_not_wait_for_members_that_do_not_return() {
        let (mut claims, now) = (with_group(), Instant::now());
        let at = |eighths: u32| now + CLAIM_TIMEOUT / 8 * eighths;
        for eighths in 0..8 {
            assert!(!claims.may_publish(2, at(eighths)));
        }
        assert!(!claims.may_publish(1, at(8)), "one was moved");
        for eighths in 9..16 {
            assert!(!claims.may_publish(1, at(eighths)));
        }
        assert!(claims.may_publish(1, at(16)));
        assert!(claims.may_publish(2, at(16)));
        let mut claims = with_group();
        assert!(!claims.may_publish(1, now));
        assert!(!claims.may_publish(1, now + CLAIM_TIMEOUT), "nobody has looked meanwhile");
    }

    #[test]
    fn events_do_not_wait_without_a_group() {
        let (mut claims, now) = (Claims::default(), Instant::now());
        claims.has_published = true;
        assert!(claims.may_publish(1, now), "there was none yet");
        assert!(claims.may_publish(0, now));
        assert!(!claims.may_publish(1, now), "one has received the first event");
    }
}
