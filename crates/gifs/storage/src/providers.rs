//! The providers of GIFs: adapters that turn their responses into the language of the Catalogue.

mod giphy;
mod guarded;
mod json;
mod klipy;
pub(crate) mod local;
mod metrics;
mod quota;
mod upstream;

use std::sync::Arc;

use anyhow::Context as _;
use gifs_domain::catalogue::{GifProvider, Provider};
use kennel_cache::Counters;
use kennel_client::ClientMetrics;
use kennel_config::Secret;
use kennel_core::Clock;
use prometheus::Registry;
use url::Url;

use crate::config::ProviderConfig;
use giphy::Giphy;
use guarded::GuardedProvider;
use klipy::Klipy;
use local::Local;
use metrics::ProviderMetrics;
use quota::SharedCounts;
use upstream::Upstream;

/// The configured providers, in their order. `public_url` is where clients reach our HTTP API, which serves the bundled
/// animations. All replicas count their requests in `counters`.
pub fn connect(
    config: &ProviderConfig,
    public_url: &str,
    counters: &Counters,
    clock: &Arc<dyn Clock>,
    registry: &Registry,
    clients: &ClientMetrics,
) -> anyhow::Result<Vec<Arc<dyn GifProvider>>> {
    let metrics = ProviderMetrics::register(registry)?;
    let upstream = |name: &'static str, base: &str, key: Option<&Secret>| {
        let key = key.with_context(|| format!("the provider `{name}` needs a key"))?;
        Upstream::new(name, base, key, config, clients)
    };
    let connect = |provider: &Provider| -> anyhow::Result<Arc<dyn GifProvider>> {
        let (inner, quota): (Arc<dyn GifProvider>, u32) = match provider {
            Provider::Local => {
                let base: Url = format!("{}/local/", public_url.trim_end_matches('/')).parse()?;
                (Arc::new(Local { base }), 0)
            }
            Provider::Giphy => {
                let upstream = upstream("giphy", &config.giphy_api_base_url, config.giphy_api_key.as_ref())?;
                (Arc::new(Giphy { upstream, stores_media: config.giphy_store_media }), config.giphy_hourly_quota)
            }
            Provider::Klipy => {
                let upstream = upstream("klipy", &config.klipy_api_base_url, config.klipy_api_key.as_ref())?;
                (Arc::new(Klipy { upstream, stores_media: config.klipy_store_media }), config.klipy_hourly_quota)
            }
        };
        let shared = SharedCounts { name: provider.name(), counters: counters.clone(), clock: Arc::clone(clock) };
        Ok(Arc::new(GuardedProvider::new(inner, quota, shared, metrics.clone())))
    };
    config.providers().iter().map(connect).collect()
}
