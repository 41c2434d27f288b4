//! Settings of the service.

use std::time::Duration;

use gifs_domain::requests::CachePolicy;
use kennel_config::{ByteSize, HumanDuration, Problems, Reader, Section, Settings};
use kennel_grpc::GrpcClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The settings of the service.
#[derive(Debug, Clone)]
pub struct GifApiConfig {
    /// The Catalogue, gif-storage.
    pub catalogue: GrpcClientConfig,
    /// Media, gif-files.
    pub media: GrpcClientConfig,
    /// Answers to searches.
    pub searches: SearchConfig,
    /// The delivery of files.
    pub delivery: DeliveryConfig,
}

impl Settings for GifApiConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            catalogue: reader.named_section("catalogue"),
            media: reader.named_section("media"),
            searches: reader.section(),
            delivery: reader.section(),
        }
    }
}

/// How clients get the bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// From the service.
    #[default]
    Proxy,
    /// From the object store, to which the service redirects.
    Redirect,
}

/// The delivery of files.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DeliveryConfig {
    /// `proxy`: the service sends the files. `redirect`: it redirects to signed URLs of the object store, which has to be S3;
    /// clients reach it at `S3_STORAGE_ENDPOINT_PUBLIC`.
    pub delivery: Delivery,
    /// How long a signed URL is valid: 10 seconds to 7 days. Clients may cache the redirect for half of that.
    pub delivery_url_ttl: HumanDuration,
    /// Memory for the bytes of the files that are asked for most; 0 for none.
    pub delivery_memory: ByteSize,
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        Self {
            delivery: Delivery::default(),
            delivery_url_ttl: HumanDuration(Duration::from_hours(1)),
            delivery_memory: ByteSize::mib(32),
        }
    }
}

impl Section for DeliveryConfig {
    const TITLE: &'static str = "Delivery of files";

    fn check(&self, problems: &mut Problems) {
        let (shortest, longest) = (HumanDuration::from_secs(10), HumanDuration(Duration::from_hours(7 * 24)));
        problems.check_range("delivery_url_ttl", self.delivery_url_ttl, shortest..=longest);
        problems.check_range("delivery_memory", self.delivery_memory, ByteSize(0)..=ByteSize::gib(64));
    }
}

impl DeliveryConfig {
    /// How long signed URLs are valid, if files are delivered by redirects.
    pub(crate) fn url_ttl(&self) -> Option<Duration> {
        (self.delivery == Delivery::Redirect).then(|| self.delivery_url_ttl.get())
    }
}

/// Answers to searches, in the cache.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SearchConfig {
    /// How long an answer is returned without asking the catalogue again.
    pub search_fresh: HumanDuration,
    /// How long before that ends an answer that is asked for is renewed in the background, at most every ten seconds; 0 for
    /// never. If it is not shorter than `SEARCH_FRESH`, half of that is used.
    pub search_refresh: HumanDuration,
    /// How long an answer is returned if no provider answers.
    pub search_stale: HumanDuration,
    /// How long it is known that nothing matches; 0 for not at all.
    pub search_negative: HumanDuration,
    /// How long to wait for an answer that another replica is asking for, before asking too; 0 for not at all.
    pub search_wait: HumanDuration,
}

impl Default for SearchConfig {
    fn default() -> Self {
        let CachePolicy { fresh, refresh, stale, negative, outage: _ } = CachePolicy::default();
        let [search_fresh, search_refresh, search_stale, search_negative] =
            [fresh, refresh, stale, negative].map(HumanDuration);
        let search_wait = HumanDuration::from_secs(1);
        Self { search_fresh, search_refresh, search_stale, search_negative, search_wait }
    }
}

impl SearchConfig {
    /// How long answers last.
    pub fn policy(&self) -> CachePolicy {
        let (fresh, refresh) = (self.search_fresh.get(), self.search_refresh.get());
        CachePolicy {
            fresh,
            // Otherwise every answer would be due when it is new.
            refresh: if refresh < fresh { refresh } else { fresh / 2 },
            stale: self.search_stale.get(),
            negative: self.search_negative.get(),
            ..CachePolicy::default()
        }
    }
}

impl Section for SearchConfig {
    const TITLE: &'static str = "Searches";

    fn check(&self, problems: &mut Problems) {
        problems.check_not_zero("search_fresh", self.search_fresh);
        if self.search_stale < self.search_fresh {
            problems.add("search_stale", "must not be shorter than SEARCH_FRESH");
        }
    }
}
