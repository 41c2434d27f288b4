//! A connection.

use futures_util::TryFutureExt as _;
use kennel_core::broker::BrokerError;
use lapin::options::{ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind, ExchangeKind};

use super::{Core, REQUEST_TIMEOUT, unavailable};

/// Reply code of a regular close.
const SUCCESS: u16 = 200;

/// A connection; closed when it is dropped.
pub(super) struct Session(Connection);

impl Session {
    pub(super) async fn open(core: &Core) -> Result<Self, BrokerError> {
        let properties = ConnectionProperties::default().with_connection_name("kennel".into());
        let connecting = Connection::connect_uri(core.server.clone(), properties).map_err(unavailable);
        tokio::time::timeout(REQUEST_TIMEOUT, connecting).await.map_err(unavailable)?.map(Self)
    }

    /// Opens a channel, whose errors do not affect other channels.
    pub(super) async fn channel(&self) -> Result<Channel, BrokerError> {
        self.0.create_channel().await.map_err(unavailable)
    }

    /// Opens a channel with publisher confirms.
    pub(super) async fn confirming(&self) -> Result<Channel, BrokerError> {
        let channel = self.channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(unavailable)?;
        Ok(channel)
    }

    /// Returns whether the server has the queue.
    pub(super) async fn has_queue(&self, name: ShortString) -> Result<bool, BrokerError> {
        let channel = self.channel().await?;
        let found = channel.queue_declare(name, QueueDeclareOptions::durable().passive(), FieldTable::default()).await;
        self.found(&channel, found.map(|_| ())).await
    }

    /// Returns whether the server has the exchange.
    pub(super) async fn has_exchange(&self, name: ShortString, kind: ExchangeKind) -> Result<bool, BrokerError> {
        let channel = self.channel().await?;
        let options = ExchangeDeclareOptions { passive: true, durable: true, ..ExchangeDeclareOptions::default() };
        let found = channel.exchange_declare(name, kind, options, FieldTable::default()).await;
        self.found(&channel, found).await
    }

    /// Takes the exclusive queue `name`, which the server deletes with the connection. Returns the channel that did; `None` if
    /// another connection has the queue.
    pub(super) async fn lock(&self, name: ShortString) -> Result<Option<Channel>, BrokerError> {
        let channel = self.channel().await?;
        match channel.queue_declare(name, QueueDeclareOptions::exclusive(), FieldTable::default()).await {
            Ok(_) => Ok(Some(channel)),
            Err(error) if is_locked(&error) => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// The server closes a channel that asks for a missing object.
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

    /// Closes the connection and waits for it. Ignores a connection that is closed already.
    pub(super) async fn close(&self) {
        let _late_or_closed = tokio::time::timeout(REQUEST_TIMEOUT, self.0.close(SUCCESS, "done".into())).await;
    }
}

fn is_locked(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else { return false };
    matches!(error.kind(), AMQPErrorKind::Soft(AMQPSoftError::RESOURCELOCKED))
}

/// Closes a channel and waits for it. Ignores a channel that is closed already.
pub(super) async fn close_channel(channel: &Channel) {
    let _late_or_closed = tokio::time::timeout(REQUEST_TIMEOUT, channel.close(SUCCESS, "done".into())).await;
}
