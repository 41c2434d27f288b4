//! A namespace on a NATS server.

use futures_util::TryStreamExt as _;

use super::{clear, prefix};
use crate::Backend;

/// Streams with a unique prefix.
pub struct Nats {
    url: String,
    prefix: String,
}

impl Nats {
    /// Creates a namespace on the server of `TEST_NATS_URL`; `None` if the variable is not set.
    pub fn find() -> Option<Self> {
        Self::on(Backend::Nats)
    }

    /// Creates a namespace on the server of [`Backend::Nats`] or [`Backend::NatsCurrent`]; `None` if its variable is
    /// not set.
    pub fn on(backend: Backend) -> Option<Self> {
        Some(Self { url: backend.address()?, prefix: prefix() })
    }

    /// URL of the server.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Prefix of all names.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    async fn remove(&self) -> Result<(), String> {
        let client = async_nats::connect(&self.url).await.map_err(|error| error.to_string())?;
        let jetstream = async_nats::jetstream::new(client);
        let names: Vec<String> = jetstream.stream_names().try_collect().await.map_err(|error| error.to_string())?;
        for name in names.iter().filter(|name| name.starts_with(&self.prefix)) {
            jetstream.delete_stream(name).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        clear(&self.prefix, self.remove());
    }
}
