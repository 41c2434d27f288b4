//! A connection.

use futures_util::TryFutureExt as _;
use kennel_core::broker::BrokerError;
use lapin::options::{ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};

use super::{ANSWER, Core, unavailable};

/// The reply code of a close that has no cause.
const SUCCESS: u16 = 200;

/// A connection; closed with the value.
pub(super) struct Session(Connection);

impl Session {
    pub(super) async fn open(core: &Core) -> Result<Self, BrokerError> {
        let properties = ConnectionProperties::default().with_connection_name("kennel".into());
        let connecting = Connection::connect_uri(core.server.clone(), properties).map_err(unavailable);
        tokio::time::timeout(ANSWER, connecting).await.map_err(unavailable)?.map(Self)
    }

    /// A channel of its own: what goes wrong on it ends no other.
    pub(super) async fn channel(&self) -> Result<Channel, BrokerError> {
        self.0.create_channel().await.map_err(unavailable)
    }

    /// A channel on which the server confirms what it has.
    pub(super) async fn confirming(&self) -> Result<Channel, BrokerError> {
        let channel = self.channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(unavailable)?;
        Ok(channel)
    }

    /// Whether the server has the queue.
    pub(super) async fn has_queue(&self, name: ShortString) -> Result<bool, BrokerError> {
        let channel = self.channel().await?;
        let found = channel.queue_declare(name, QueueDeclareOptions::durable().passive(), FieldTable::default()).await;
        self.found(&channel, found.map(|_| ())).await
    }

    /// Whether the server has the exchange.
    pub(super) async fn has_exchange(&self, name: ShortString, kind: ExchangeKind) -> Result<bool, BrokerError> {
        let channel = self.channel().await?;
        let options = ExchangeDeclareOptions { passive: true, durable: true, ..ExchangeDeclareOptions::default() };
        let found = channel.exchange_declare(name, kind, options, FieldTable::default()).await;
        self.found(&channel, found).await
    }

    /// A channel that asks for what the server does not have is closed.
    async fn found(&self, channel: &Channel, found: Result<(), lapin::Error>) -> Result<bool, BrokerError> {
        match found {
            Ok(()) => {
                close_channel(channel).await;
                Ok(true)
            }
            Err(_) if self.is_open() => Ok(false),
            Err(error) => Err(unavailable(error)),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.status().connected()
    }

    /// Closes it and waits for that; one that is gone already is closed enough.
    pub(super) async fn close(&self) {
        let _late_or_gone = tokio::time::timeout(ANSWER, self.0.close(SUCCESS, "done".into())).await;
    }
}

/// Closes a channel and waits for that; one that is gone already is closed enough.
pub(super) async fn close_channel(channel: &Channel) {
    let _late_or_gone = tokio::time::timeout(ANSWER, channel.close(SUCCESS, "done".into())).await;
}
