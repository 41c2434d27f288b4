//! Messages that mark a position in a queue.

use kennel_core::broker::BrokerError;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel};

use super::send;
use crate::group::unique_name;

/// Message type of a marker.
const KIND: &str = "kennel.mark";

/// A message after all those that a queue had when it was published.
pub(super) struct Marker(String);

impl Marker {
    /// Publishes a marker to a queue, on a channel with publisher confirms.
    pub(super) async fn publish(channel: &Channel, queue: ShortString) -> Result<Self, BrokerError> {
        let name = unique_name();
        let properties = BasicProperties::default().with_type(KIND.into()).with_message_id(name.as_str().into());
        send(channel, "".into(), queue, &[], properties).await?;
        Ok(Self(name))
    }

    /// Returns whether a message is this marker, or another one, which was left by a client that failed; `None` if it is no
    /// marker.
    pub(super) fn is(&self, properties: &BasicProperties) -> Option<bool> {
        properties.kind().as_ref().filter(|kind| kind.as_str() == KIND)?;
        Some(properties.message_id().as_ref().is_some_and(|id| id.as_str() == self.0))
    }
}
