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
}

/// Deletes the streams for which `pick` returns true; returns their names.
///
/// # Errors
/// When the server does not respond, or rejects the request.
pub async fn remove_streams(url: &str, pick: impl Fn(&str) -> bool) -> Result<Vec<String>, String> {
    let client = async_nats::connect(url).await.map_err(|error| error.to_string())?;
    let jetstream = async_nats::jetstream::new(client);
    let mut names: Vec<String> = jetstream.stream_names().try_collect().await.map_err(|error| error.to_string())?;
    names.retain(|name| pick(name));
    for name in &names {
        jetstream.delete_stream(name).await.map_err(|error| error.to_string())?;
    }
    Ok(names)
}

impl Drop for Nats {
    fn drop(&mut self) {
        let removed = async { remove_streams(&self.url, |name| name.starts_with(&self.prefix)).await.map(drop) };
        clear(&self.prefix, removed);
    }
}
